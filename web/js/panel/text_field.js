/** The field in which a face is written: codes, the name of a look, or plain English. */

import { make } from './elements.js'

export class TextField {
  /** apply(text): it was typed or pasted. `typing`: it was not applied yet. */
  constructor(say, apply) {
    Object.assign(this, { apply, typing: false })
    this.input = make('input', {
      type: 'text',
      className: 'aua-text',
      spellcheck: false,
      autocomplete: 'off',
      placeholder: say('notationHint'),
      title: say('notation'),
      'aria-label': say('notation'),
      onpointerdown: () => (this.entering = document.activeElement !== this.input),
      onclick: () => this.#clicked(),
      onkeydown: (event) => this.#pressed(event),
      oninput: () => (this.typing = true),
      onchange: () => this.typing && this.#apply(),
      onpaste: () => setTimeout(() => this.#apply()) // once the text is in the field
    })
    this.element = make('div', { className: 'aua-notation' }, [this.input])
  }

  get value() {
    return this.input.value
  }

  set value(text) {
    this.input.value = text
  }

  /** Show a face, unless somebody writes one. The page may move the field, which then loses its focus. */
  show(text) {
    if (!this.typing && document.activeElement !== this.input) this.value = text
  }

  /** The first click selects all, so that what is typed takes the place of the face shown. */
  #clicked() {
    if (this.entering && this.input.selectionStart === this.input.selectionEnd) this.input.select()
    this.entering = false
  }

  #pressed(event) {
    event.stopPropagation()
    if (event.key === 'Escape') this.input.blur()
    if (event.key === 'Enter' && this.typing) this.#apply()
  }

  #apply() {
    this.typing = false
    this.apply(this.value)
  }
}
