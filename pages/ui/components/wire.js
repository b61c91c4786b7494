// A message of siamese_core/formats/wire.py, for all components: four bytes that give the length of the header, the
// header as JSON, then raw arrays.

const TYPES = {
  float32: Float32Array, float64: Float64Array, int16: Int16Array, int32: Int32Array, int64: BigInt64Array,
  uint8: Uint8Array, uint16: Uint16Array,
};

export function unpack(bytes) {
  const start = 4 + new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
  const { meta, arrays } = JSON.parse(new TextDecoder().decode(bytes.subarray(4, start)));
  const named = {};
  for (const [name, dtype, shape, offset] of arrays) {
    const Type = TYPES[dtype];
    const end = start + offset + shape.reduce((a, b) => a * b, 1) * Type.BYTES_PER_ELEMENT;
    if (end > bytes.length) throw new RangeError("a message that is cut short");
    named[name] = new Type(bytes.slice(start + offset, end).buffer); // a copy, because a typed array must be aligned
  }
  return { meta, arrays: named };
}
