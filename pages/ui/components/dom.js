// What all components are made of: elements, the colours of the theme, and the function that renders a component.

export const THEME = `
.themed { font: 13px/1.35 var(--st-font, system-ui, sans-serif); position: relative;
  --text: var(--st-text-color, #222); --ground: var(--st-background-color, #fff);
  --line: var(--st-border-color, #ddd); --primary: var(--st-primary-color, #0072b2);
  --soft: color-mix(in srgb, var(--text) 70%, var(--ground)); color: var(--text); background: var(--ground); }
.themed * { box-sizing: border-box; }
.themed button[aria-pressed=true]:not(.legend *) { border-color: var(--primary);
  background: color-mix(in srgb, var(--primary) 15%, transparent); }
`;

export function make(tag, className, ...children) {
  const element = Object.assign(document.createElement(tag), { className });
  element.append(...children);
  return element;
}

export function svg(tag, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  set(element, attributes);
  element.append(...children);
  return element;
}

export function set(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
}

export const button = (name, inside = "") => `<button class="${name}" type="button">${inside}</button>`;

export const icon = (name, d) =>
  button(`icon ${name}`, `<svg viewBox="0 0 16 16" aria-hidden="true"><path d="${d}"/></svg>`);

export const fill = (template, values) =>
  (template ?? "").replace(/\{(\w+)\}/g, (all, key) => values[key] ?? all);

// The function that renders a component: one view for each parent element, at the first call, and when somebody emptied
// the parent; `leave(view)` ends the one before. `send(event, value)` is Streamlit's way back.
export function mounted(Kind, leave) {
  const views = new WeakMap();
  return ({ parentElement, data, setTriggerValue: send }) => {
    let view = views.get(parentElement);
    if (view?.root.parentNode !== parentElement) {
      if (view) leave(view);
      const mounts = Number(view?.root.dataset.mounts ?? 0) + 1;
      views.set(parentElement, view = new Kind(parentElement));
      view.root.dataset.mounts = mounts;
    }
    view.update(data, send);
  };
}
