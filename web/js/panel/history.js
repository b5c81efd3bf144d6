/** What the panel's Undo and Redo go through: faces, the latest last. */

const KEPT = 200

export class History {
  #before = []
  #after = []

  /** Remember the face that a change is about to replace. */
  remember(face) {
    this.#before.push(structuredClone(face))
    if (this.#before.length > KEPT) this.#before.shift()
    this.#after = []
  }

  get canUndo() {
    return this.#before.length > 0
  }

  get canRedo() {
    return this.#after.length > 0
  }

  /** The face before the last change, given the one of now. */
  undo(face) {
    this.#after.push(structuredClone(face))
    return this.#before.pop()
  }

  redo(face) {
    this.#before.push(structuredClone(face))
    return this.#after.pop()
  }
}
