/** The panel's looks: a small drawn face for each, found by its name or another name for it. */

import { FaceDrawing } from '../face/drawing.js'
import { make } from './elements.js'
import { faceOfCodes, formatNotation } from './notation.js'

/**
 * The form of a look that the usable AUs can make: all of it, else that of set A or set B. Null
 * where none can.
 */
export function formOf(look, usable) {
  const forms = ['full', 'set_a', 'set_b'].map((name) => look.forms[name]).filter(Boolean)
  const faces = forms.map(faceOfCodes)
  return faces.find((face) => Object.keys(face).every((unit) => usable.has(Number(unit)))) ?? null
}

/** The looks whose name, or another name, holds the words of a search. */
export function findLooks(text, tables) {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean)
  return tables.looks.filter((look) => {
    const names = [look.name, tables.lookName(look.name), ...look.other_names]
    return words.every((word) => names.some((name) => name.toLowerCase().includes(word)))
  })
}

/** The look that a text names in full. */
export function namedLook(text, tables) {
  const wanted = text.trim().toLowerCase()
  return tables.looks.find((look) =>
    [look.name, tables.lookName(look.name), ...look.other_names].some(
      (name) => name.toLowerCase() === wanted
    )
  )
}

export class LookList {
  /** choose(face): a look was picked. */
  constructor(tables, choose) {
    Object.assign(this, { tables, choose, key: '' })
    this.search = make('input', {
      type: 'search',
      placeholder: tables.say('searchLooks'),
      'aria-label': tables.say('searchLooks'),
      oninput: () => this.#show()
    })
    this.grid = make('div', { className: 'aua-looks' })
    this.element = make('div', { className: 'aua-list', tabIndex: -1 }, [this.search, this.grid])
  }

  /** Show the looks that can be made with these AUs. They are drawn once, when first seen. */
  show(usable) {
    const key = [...usable].join()
    if (this.key === key) return
    this.key = key
    this.cards = new Map()
    for (const look of this.tables.looks) {
      const face = formOf(look, usable)
      if (face) this.cards.set(look, this.#card(look, face))
    }
    this.#show()
  }

  #show() {
    const found = new Set(findLooks(this.search.value, this.tables))
    const groups = new Map()
    for (const [look, card] of this.cards ?? []) {
      if (!found.has(look)) continue
      if (!groups.has(look.group)) groups.set(look.group, [])
      groups.get(look.group).push(card)
    }
    const shown = [...groups].flatMap(([group, cards]) => [
      make('h4', {}, [this.tables.lookName(group)]),
      make('div', { className: 'aua-cards' }, cards)
    ])
    this.grid.replaceChildren(...(shown.length ? shown : [this.tables.say('noLook')]))
  }

  #card(look, face) {
    const drawing = new FaceDrawing({ view: 'close' })
    drawing.show(face)
    const title = `${formatNotation(face, this.tables)} (${look.source})`
    return make(
      'button',
      { type: 'button', className: 'aua-look', title, onclick: () => this.choose(face) },
      [drawing.element, make('span', {}, [this.tables.lookName(look.name)])]
    )
  }
}
