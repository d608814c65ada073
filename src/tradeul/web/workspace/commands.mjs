// What can be done, as a table: the palette lists it, keys run it. A command belongs to whoever added it.

/**
 * @typedef {{id: string, title: () => string, keys?: string, run: () => void, release?: (heldMs: number) => void}} Command
 *   `keys`: one key as `KeyboardEvent.key` says it, with Ctrl+, Alt+, Shift+ before it where they are held: "/", "Alt+l".
 *   `release`: the key was let go again
 */

export class Commands {
  constructor() {
    /** @type {Map<string, Command>} */
    this.table = new Map();
    this.hasSingleKeys = true; // else only keys with another one held
    this.page = document; // of the window that a key was last pressed in
    this.hear(document);
  }

  /** @param {Command} command @returns {() => void} take it away */
  add(command) {
    this.table.set(command.id, command);
    return () => void (this.table.get(command.id) === command && this.table.delete(command.id));
  }

  all() {
    return [...this.table.values()];
  }

  /** Listen to the keys of a window of ours; one that is popped out has its own. @param {Document} page */
  hear(page) {
    page.addEventListener("pointerdown", () => (this.page = page), true);
    page.addEventListener("keydown", () => (this.page = page), true);
    page.addEventListener("keydown", (event) => {
      if (event.defaultPrevented || event.isComposing || event.repeat || isWriting(event.target)) return;
      const pressed = keysOf(event);
      const command = this.all().find(({ keys }) => keys === pressed);
      if (!command || (pressed.length === 1 && !this.hasSingleKeys)) return;
      event.preventDefault();
      const pressedAt = performance.now();
      command.run();
      if (!command.release) return;
      const letGo = (/** @type {KeyboardEvent} */ { key }) => {
        if (key !== event.key) return;
        page.removeEventListener("keyup", letGo);
        command.release?.(performance.now() - pressedAt);
      };
      page.addEventListener("keyup", letGo);
    });
  }
}

/** @param {KeyboardEvent} event */
function keysOf({ key, ctrlKey, metaKey, altKey, shiftKey }) {
  const held = [ctrlKey || metaKey ? "Ctrl+" : "", altKey ? "Alt+" : "", shiftKey && key.length > 1 ? "Shift+" : ""];
  return held.join("") + key;
}

/** Keys that write are no commands, nor are those of a dialog. @param {EventTarget | null} target */
function isWriting(target) {
  const { tagName, type, isContentEditable } = /** @type {HTMLInputElement} */ (target ?? {});
  const ticks = ["checkbox", "radio", "button", "range"];
  if (/** @type {Element} */ (target).closest?.("dialog")) return true;
  return isContentEditable || tagName === "TEXTAREA" || tagName === "SELECT" || (tagName === "INPUT" && !ticks.includes(type));
}
