/**
 * The node's plain widgets, which hold its values: a slider for each AU of both sides alike, and
 * notation for everything else. The panel reads a face from them and writes a face into them.
 */

import { app } from '../../../../scripts/app.js'
import { NotationError, formatNotation, parseNotation } from './notation.js'

const SLIDER = /^au(\d+)$/
const LEAST = 0
const MOST = 5

const rounded = (value) => Math.round(value * 100) / 100

export class PlainWidgets {
  /** changed: called when a person or another extension has set one of them. */
  constructor(node, tables, changed) {
    this.node = node
    this.tables = tables
    this.sliders = {}
    for (const widget of node.widgets ?? []) {
      const unit = SLIDER.exec(widget.name)?.[1]
      if (unit) this.sliders[unit] = widget
      if (widget.name === 'notation') this.notation = widget
    }
    this.all.forEach((widget) => this.#follow(widget, changed))
  }

  get all() {
    return [...Object.values(this.sliders), this.notation]
  }

  /** Whether a connection sets the value, so that the panel cannot. */
  isLinked(widget) {
    return this.node.inputs?.some((slot) => slot.widget?.name === widget.name && slot.link != null)
  }

  isUnitLinked(unit) {
    return this.sliders[unit] !== undefined && this.isLinked(this.sliders[unit])
  }

  /** {face, error}: sliders plus notation. A notation that cannot be read is left out of the face. */
  read() {
    const face = {}
    for (const [unit, widget] of Object.entries(this.sliders)) {
      const value = this.isLinked(widget) ? 0 : rounded(Number(widget.value) || 0)
      face[unit] = [value, value]
    }
    try {
      const written = this.isLinked(this.notation) ? {} : this.#written()
      for (const [unit, [left, right]] of Object.entries(written)) {
        const [l, r] = face[unit] ?? [0, 0]
        face[unit] = [rounded(l + left), rounded(r + right)]
      }
      return { face, error: '' }
    } catch (error) {
      if (!(error instanceof NotationError)) throw error
      return { face, error: error.message }
    }
  }

  /** Put a face into the widgets: what a slider can hold into the sliders, the rest into notation. */
  write(face) {
    const rest = {}
    for (const unit of new Set([...Object.keys(this.sliders), ...Object.keys(face)])) {
      const [left, right] = (face[unit] ?? [0, 0]).map(rounded)
      const slider = this.sliders[unit]
      if (slider && this.isLinked(slider)) continue
      const fits = slider && left === right && left >= LEAST && left <= MOST
      if (slider) this.#set(slider, fits ? left : 0)
      if (!fits) rest[unit] = [left, right]
    }
    if (!this.isLinked(this.notation)) this.#writeNotation(rest)
    app.canvas?.setDirty?.(true, true)
  }

  #written() {
    return parseNotation(this.notation.value ?? '', this.tables)
  }

  /** A text that already says the same keeps the words that its author chose. */
  #writeNotation(rest) {
    const wanted = formatNotation(rest, this.tables)
    try {
      if (formatNotation(this.#written(), this.tables) === wanted) return
    } catch (error) {
      if (!(error instanceof NotationError)) throw error
    }
    this.#set(this.notation, wanted)
  }

  #set(widget, value) {
    if (widget.value === value) return
    this.writing = true
    try {
      widget.value = value
      widget.callback?.(value, app.canvas, this.node)
    } finally {
      this.writing = false
    }
  }

  #follow(widget, changed) {
    const before = widget.callback
    widget.callback = (...values) => {
      const answer = before?.apply(widget, values)
      if (!this.writing) changed()
      return answer
    }
  }
}
