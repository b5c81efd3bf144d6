/** The panel's list of AUs: a row for each, by place on the face, with one slider or two. */

import { make } from './elements.js'

const MOST = 5
const SIDES = ['left', 'right']

let rows = 0 // labels need ids of their own

export class SliderList {
  /**
   * begin(): a change of values starts. change(unit, [left, right]): values while one drags.
   * end(): it is over.
   */
  constructor(tables, { begin, change, end }) {
    this.tables = tables
    this.actions = { begin, change, end }
    this.rows = new Map()
    this.element = make('div', { className: 'aua-list', tabIndex: -1 })
    for (const { name, units } of tables.places) this.element.append(this.#place(name, units))
  }

  /** What the rows show; see panel.js for `state`. */
  show(state) {
    for (const row of this.rows.values()) row.show(state)
  }

  /** Bring the row of an AU into view and mark it for a moment. */
  point(unit) {
    this.rows.get(unit)?.point()
  }

  #place(name, units) {
    const heading = make('h4', { id: `aua-place-${rows++}` }, [this.tables.placeName(name)])
    const group = make('div', { role: 'group', 'aria-labelledby': heading.id }, [heading])
    for (const unit of units) {
      const row = new Row(unit, this.tables, this.actions)
      this.rows.set(unit, row)
      group.append(row.element)
    }
    return group
  }
}

class Row {
  constructor(unit, tables, actions) {
    Object.assign(this, { unit, tables, actions, values: [0, 0], split: false })
    const { seen, bilateral, name } = tables.units[unit]
    this.bilateral = bilateral
    this.id = `aua-row-${rows++}`
    this.title = `AU${unit} ${name}: ${seen}`
    this.name = make('span', { className: 'aua-name', id: this.id }, [
      make('b', {}, [tables.unitName(unit)]),
      make('small', {}, [`AU${unit}`])
    ])
    this.mark = make('span', { className: 'aua-mark', hidden: true, 'aria-hidden': 'true' })
    this.name.append(this.mark)
    this.notes = make('div', { className: 'aua-notes', id: `${this.id}-notes` })
    this.lines = SIDES.map((side, index) => this.#line(side, index))
    this.element = make('div', { className: 'aua-row' }, [
      this.name,
      make(
        'div',
        { className: 'aua-lines' },
        this.lines.map(({ element }) => element)
      ),
      this.notes
    ])
    this.element.dataset.unit = unit
  }

  #line(side, index) {
    const shared = { min: 0, max: MOST, step: 0.1, 'aria-describedby': this.notes.id }
    const range = make('input', { type: 'range', ...shared })
    const number = make('input', { type: 'number', ...shared, min: -10, max: 10 })
    const letter = make(
      'span',
      { className: 'aua-side', title: this.tables.say(side), id: `${this.id}-${side}` },
      [this.tables.say(`${side}Letter`)]
    )
    const tick = make('i', { className: 'aua-tick', hidden: true })
    range.onpointerdown = () => this.actions.begin()
    for (const input of [range, number]) {
      input.oninput = () => this.#changed(index, input.value)
      input.onchange = () => this.actions.end()
    }
    const element = make('div', { className: 'aua-line' }, [
      letter,
      make('span', { className: 'aua-track' }, [range, tick]),
      number
    ])
    return { element, range, number, letter, tick }
  }

  #changed(index, text) {
    const value = Number(text)
    if (text === '' || !Number.isFinite(value)) return
    this.actions.begin()
    const values = this.split ? [...this.values] : [value, value]
    values[index] = value
    this.actions.change(this.unit, values)
  }

  show({ face, split, known, isLinked, measured, conflicts }) {
    const own = conflicts.filter(({ units }) => units.includes(this.unit))
    const state = [face[this.unit], split, known?.has(this.unit), isLinked(this.unit)]
    const shown = JSON.stringify([...state, measured?.face[this.unit], own])
    if (this.shown === shown) return // most rows stay as they are while one slider is dragged
    this.shown = shown
    this.values = face[this.unit] ?? [0, 0]
    this.split = split && this.bilateral
    const set = this.values.some(Boolean)
    const linked = isLinked(this.unit)
    const foreign = known !== null && !known.has(this.unit)
    this.element.classList.toggle('aua-split', this.split)
    this.element.classList.toggle('aua-set', set)
    this.element.classList.toggle('aua-unknown', foreign)
    this.#showLines(linked || (foreign && !set))
    this.#showMeasured(measured)
    this.#showNotes({ foreign, set, linked, own })
  }

  /** One value where the row has one slider: the mean, if the sides differ. */
  #shownValues() {
    const [left, right] = this.values
    const mean = Math.round(50 * (left + right)) / 100
    return this.split ? this.values : [mean, mean]
  }

  #showLines(disabled) {
    const values = this.#shownValues()
    this.lines.forEach(({ element, range, number, letter }, index) => {
      const value = values[index]
      element.hidden = !this.split && index > 0
      letter.hidden = !this.split
      range.value = value
      range.style.setProperty('--share', `${(100 * Math.min(Math.max(value, 0), MOST)) / MOST}%`)
      if (Number(number.value) !== value || number !== document.activeElement) number.value = value
      for (const input of [range, number]) {
        input.disabled = disabled
        input.setAttribute('aria-labelledby', this.split ? `${this.id} ${letter.id}` : this.id)
      }
    })
  }

  #showMeasured(measured) {
    const found = measured?.face[this.unit]
    this.lines.forEach(({ tick }, index) => {
      tick.hidden = !found
      if (!found) return
      const value = this.split ? found[index] : (found[0] + found[1]) / 2
      tick.style.setProperty('--share', Math.min(Math.max(value / MOST, 0), 1))
      tick.title = this.tables.say('measured', {
        value: value.toFixed(1),
        estimator: measured.estimator
      })
    })
  }

  /**
   * Beside the slider: why it is grey, and what it conflicts with. A conflict is written out at the
   * last of its rows; the others have a mark.
   */
  #showNotes({ foreign, set, linked, own }) {
    const said = (key) => this.tables.say(key, { unit: this.unit })
    const notes = own
      .filter((conflict) => this.#isLastOf(conflict))
      .map((conflict) => [conflict.kind, this.#sentence(conflict)])
    if (linked) notes.unshift(['linked', said('linked')])
    if (foreign) notes.unshift(set ? ['X', said('unknownSet')] : ['unheard', said('unknown')])
    this.name.title = foreign ? `${this.title}\n${said('unknown')}` : this.title
    if (String(notes) !== this.said) {
      this.said = String(notes)
      this.notes.replaceChildren(
        ...notes.map(([kind, text]) => make('p', { className: `aua-${kind}` }, [text]))
      )
    }
    this.mark.hidden = !own.length
    this.mark.className = `aua-mark aua-${own.some(({ kind }) => kind === 'X') ? 'X' : 'N'}`
    this.mark.textContent = own.some(({ kind }) => kind === 'X') ? '⚠' : '≈'
    this.mark.title = own.map((conflict) => this.#sentence(conflict)).join('\n')
  }

  #sentence({ units, kind, reason }) {
    return `AU${units.join('+')} ${this.tables.kinds[kind]}: ${reason}`
  }

  #isLastOf({ units }) {
    const shown = this.tables.order.filter((unit) => units.includes(unit))
    return shown.at(-1) === this.unit
  }

  point() {
    this.element.scrollIntoView({ block: 'nearest' })
    this.element.classList.remove('aua-pointed')
    void this.element.offsetWidth // restarts the animation
    this.element.classList.add('aua-pointed')
  }
}
