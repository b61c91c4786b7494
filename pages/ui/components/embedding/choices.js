// What the user chose to see, saved by the browser's tab over a reload: toggles once for all, hidden classes for each
// data set.

const NAME = "siamese.embedding";

export class Choices {
  constructor() { Object.assign(this, { toggles: {}, hidden: {} }, recall()); }

  toggle(name, on) {
    this.toggles[name] = on;
    this.save();
  }

  hide(key, classes) {
    this.hidden[key] = [...classes];
    this.save();
  }

  save() {
    try {
      sessionStorage.setItem(NAME, JSON.stringify(this));
    } catch {
      // A browser may refuse storage: the choices then last as long as the view.
    }
  }
}

function recall() {
  try {
    return JSON.parse(sessionStorage.getItem(NAME));
  } catch {
    return null;
  }
}
