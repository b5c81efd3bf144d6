/**
 * The AU panel of one AU Vector: a drawn face, sliders by place, looks and notation.
 *
 * It keeps no values of its own: they are read from the node's plain widgets and written there.
 */

import { FaceDrawing } from '../face/drawing.js'
import { app } from '../../../../scripts/app.js'
import { findConflicts } from './conflicts.js'
import { icon, make } from './elements.js'
import { faceOfWords, isEnglish } from './english.js'
import { addFaceInput } from './face_input.js'
import { firstPicture, firstReading, knownUnits, reachedBy } from './graph.js'
import { History } from './history.js'
import { Live } from './live.js'
import { LookList, formOf, namedLook } from './looks.js'
import { NotationError, faceOfCodes, formatNotation, parseNotation } from './notation.js'
import { PlainWidgets } from './plain_widgets.js'
import { randomFace } from './random_face.js'
import { SliderList } from './sliders.js'
import { TextField } from './text_field.js'

export class Panel {
  constructor(node, tables, showPlain) {
    Object.assign(this, { node, tables, showPlain, split: false, known: null, sides: true })
    this.applied = Promise.resolve() // settles when the last text is: English asks the server
    this.history = new History()
    this.widgets = new PlainWidgets(node, tables, () => this.refresh())
    const changes = {
      begin: () => this.#begin(),
      end: () => this.#end(),
      face: () => this.face,
      point: (unit) => this.#point(unit)
    }
    this.drawing = new FaceDrawing()
    addFaceInput(this.drawing, tables, {
      ...changes,
      change: (values, side) => this.#changeAt(values, side)
    })
    this.sliders = new SliderList(tables, {
      ...changes,
      change: (unit, values) => this.#set({ ...this.face, [unit]: values })
    })
    this.looks = new LookList(tables, (face) => this.replace(face))
    this.live = new Live(node, {
      show: (address) => this.#showPicture(address),
      fail: (message) => this.#liveFailed(message)
    })
    this.text = new TextField(
      (key) => tables.say(key),
      (text) => (this.applied = this.#applyText(text))
    )
    this.element = this.#build()
    this.refresh()
  }

  /** The node is gone. */
  close() {
    if (this.live.on) this.live.toggle()
  }

  /** In an app the drawing is large, and nothing leads to the node's own widgets: it has none. */
  showInApp(inApp) {
    this.drawing.view = inApp ? 'app' : 'whole'
    this.buttons.plain.hidden = inApp
  }

  /** Read the widgets and the graph again, and show what they say. */
  refresh() {
    const { face, error } = this.widgets.read()
    this.face = face
    this.error = error
    if (Object.values(face).some(([left, right]) => left !== right)) this.split = true
    this.#show()
    this.#askGraph()
  }

  /** Set a whole face, as one step of Undo. */
  replace(face) {
    this.#begin()
    this.#set(this.#withLinked(face))
    this.#end()
  }

  /** An `executed` message of the server: readings and pictures of this face are shown. */
  executed(id, output) {
    if (!output || !reachedBy(this.node, id)) return
    const reading = firstReading(output)
    if (reading) this.measured = { ...reading, face: faceOfCodes(reading.codes) }
    const picture = firstPicture(output)
    if (picture) this.#showPicture(picture)
    this.#show()
  }

  /** The AUs that a look or a random face may use. */
  get usable() {
    const own = Object.keys(this.widgets.sliders).map(Number)
    const free = own.filter((unit) => !this.widgets.isUnitLinked(unit))
    return new Set(this.known ? free.filter((unit) => this.known.has(unit)) : free)
  }

  // Changing the face

  #begin() {
    if (this.changing) return
    this.changing = true
    this.before = structuredClone(this.face)
  }

  /** A change is over: one step of Undo here, and one in ComfyUI. */
  #end() {
    if (!this.changing) return
    this.changing = false
    if (JSON.stringify(this.before) === JSON.stringify(this.face)) return
    this.history.remember(this.before)
    this.#show()
    this.#done()
  }

  /** One step of ComfyUI's own undo, and the picture if Live is on. */
  #done() {
    app.canvas?.emitBeforeChange?.()
    app.canvas?.emitAfterChange?.()
    this.live.ask('picture')
  }

  #set(face) {
    this.widgets.write(face)
    const { face: now, error } = this.widgets.read()
    Object.assign(this, { face: now, error })
    this.#show()
    this.live.ask('draft')
  }

  #withLinked(face) {
    const linked = Object.keys(this.face).filter((unit) => this.widgets.isUnitLinked(unit))
    return { ...face, ...Object.fromEntries(linked.map((unit) => [unit, this.face[unit]])) }
  }

  /** Values of AUs at one side of the drawing; both sides where they are not apart. */
  #changeAt(values, side) {
    const face = { ...this.face }
    for (const [unit, value] of Object.entries(values)) {
      if (this.widgets.isUnitLinked(unit) || (this.known && !this.known.has(Number(unit)))) continue
      const apart = this.split && this.tables.units[unit].bilateral
      const sides = apart ? [...(face[unit] ?? [0, 0])] : [value, value]
      sides[side] = value
      face[unit] = sides
    }
    this.#set(face)
  }

  #mirror() {
    this.replace(Object.fromEntries(Object.entries(this.face).map(([u, [l, r]]) => [u, [r, l]])))
  }

  #toggleSplit() {
    this.split = !this.split
    if (this.split) return this.#show()
    const mean = (sides) => Math.round(50 * (sides[0] + sides[1])) / 100
    this.replace(
      Object.fromEntries(Object.entries(this.face).map(([u, s]) => [u, [mean(s), mean(s)]]))
    )
    this.#show()
  }

  #step(name) {
    this.#restore(this.history[name](this.face))
  }

  #restore(face) {
    this.#set(face)
    this.#done()
  }

  /** What was typed or pasted: the name of a look, notation, or plain English. */
  async #applyText(text) {
    const look = namedLook(text, this.tables)
    try {
      this.replace((look && formOf(look, this.usable)) ?? parseNotation(text, this.tables))
      this.#complain('')
    } catch (error) {
      if (!(error instanceof NotationError)) throw error
      await this.#applyWords(text, error.message)
    }
    if (!this.complaint) this.text.value = formatNotation(this.face, this.tables)
  }

  /** What English words say, without the AUs that the adapter does not know. */
  async #applyWords(text, problem) {
    const { face, reason } = await faceOfWords(text)
    if (this.text.value !== text) return // more was written meanwhile
    if (!face) return this.#complain(isEnglish(text) ? reason : problem)
    const unknown = Object.keys(face).filter((unit) => !this.usable.has(Number(unit)))
    this.replace(Object.fromEntries(Object.entries(face).filter(([u]) => !unknown.includes(u))))
    this.#complain('')
    if (unknown.length) this.#complain(this.tables.say('leftOut', { units: unknown.join(', ') }))
    this.text.value = formatNotation(this.face, this.tables)
  }

  // Showing it

  #show() {
    const { face, split, known, measured } = this
    this.drawing.show(face)
    const conflicts = findConflicts(face, this.tables)
    const isLinked = (unit) => this.widgets.isUnitLinked(unit)
    this.sliders.show({ face, split, known, measured, conflicts, isLinked })
    if (!this.looks.element.hidden) this.looks.show(this.usable)
    this.#showText()
    this.#showButtons()
    this.#showRemarks()
  }

  #showText() {
    const notation = formatNotation(this.face, this.tables)
    this.text.show(notation)
    if (!this.complaint) this.#complain(this.error, true)
    const said = this.tables.say('face', { notation: notation || this.tables.say('atRest') })
    this.stage.setAttribute('aria-label', said)
  }

  #showButtons() {
    const { undo, redo, mirror, split, live } = this.buttons
    live.setAttribute('aria-pressed', this.live.on)
    this.element.classList.toggle('aua-live', this.live.on)
    undo.disabled = !this.history.canUndo
    redo.disabled = !this.history.canRedo
    mirror.disabled = !Object.values(this.face).some(([left, right]) => left !== right)
    split.setAttribute('aria-pressed', this.split)
  }

  /** What concerns the whole face, under the tools. */
  #showRemarks() {
    const said = []
    const foreign = this.known ? this.tables.order.filter((unit) => !this.known.has(unit)) : []
    if (this.split && !this.sides) said.push(this.tables.say('alike'))
    if (foreign.length) said.push(this.tables.say('unknownUnits', { units: foreign.join(', ') }))
    const slot = this.node.inputs?.find(({ name }) => name === 'au_vector')
    if (slot?.link != null) said.push(this.tables.say('added'))
    if (this.measured) said.push(this.tables.say('measuredLegend', this.measured))
    this.remarks.replaceChildren(...said.map((text) => make('p', {}, [text])))
  }

  #showPicture(address) {
    this.picture.src = address
    this.picture.parentElement.hidden = false
  }

  #toggleLive() {
    this.live.toggle()
    this.#showButtons()
  }

  #liveFailed(message) {
    if (message) this.#complain(message)
    this.#showButtons()
  }

  #complain(text, fromWidget = false) {
    this.complaint = fromWidget ? '' : text
    this.problem.textContent = text
    this.problem.hidden = !text
    this.text.input.setAttribute('aria-invalid', Boolean(text))
  }

  #point(unit) {
    this.#choose('sliders')
    this.sliders.point(unit)
  }

  async #askGraph() {
    const { units, sides } = await knownUnits(this.node, this.tables)
    const same = String([...(units ?? [])]) === String([...(this.known ?? [])])
    if (same && Boolean(units) === Boolean(this.known) && sides === this.sides) return
    Object.assign(this, { known: units, sides })
    this.#show()
  }

  #choose(name) {
    for (const [key, { tab, list }] of Object.entries(this.tabs)) {
      tab.setAttribute('aria-selected', key === name)
      tab.tabIndex = key === name ? 0 : -1
      list.element.hidden = key !== name
    }
    if (name === 'looks') this.looks.show(this.usable)
  }

  // Building it

  #build() {
    const say = (key) => this.tables.say(key)
    this.stage = make('div', { className: 'aua-face', role: 'img' }, [this.drawing.element])
    this.picture = make('img', { alt: say('picture'), title: say('picture'), draggable: false })
    const beside = make('div', { className: 'aua-picture', hidden: true }, [this.picture])
    this.buttons = this.#buttons(say)
    const tools = make(
      'div',
      { className: 'aua-tools', role: 'toolbar' },
      Object.values(this.buttons)
    )
    this.problem = make('p', { className: 'aua-problem', role: 'alert', hidden: true })
    this.remarks = make('div', { className: 'aua-remarks' })
    const element = make('div', { className: 'aua-panel' }, [
      make('div', { className: 'aua-stage' }, [this.stage, beside]),
      make('div', { className: 'aua-controls' }, [
        tools,
        this.text.element,
        this.problem,
        this.remarks
      ]),
      make('div', { className: 'aua-lists' }, [
        this.#tabBar(say),
        this.sliders.element,
        this.looks.element
      ])
    ])
    element.dataset.captureWheel = 'true' // Nodes 2.0: the wheel scrolls here, once focused
    this.#choose('sliders')
    return element
  }

  #buttons(say) {
    const button = (name, onclick) =>
      make('button', { type: 'button', title: say(name), 'aria-label': say(name), onclick }, [
        icon(name)
      ])
    return {
      undo: button('undo', () => this.#step('undo')),
      redo: button('redo', () => this.#step('redo')),
      mirror: button('mirror', () => this.#mirror()),
      split: button('split', () => this.#toggleSplit()),
      random: button('random', () => this.replace(randomFace(this.tables, this.usable))),
      reset: button('reset', () => this.replace({})),
      live: button('live', () => this.#toggleLive()),
      plain: button('plain', () => this.showPlain())
    }
  }

  #tabBar(say) {
    const tab = (name) =>
      make(
        'button',
        {
          type: 'button',
          role: 'tab',
          onclick: () => this.#choose(name),
          onkeydown: ({ key }) => {
            if (key !== 'ArrowLeft' && key !== 'ArrowRight') return
            const other = name === 'sliders' ? 'looks' : 'sliders'
            this.#choose(other)
            this.tabs[other].tab.focus()
          }
        },
        [say(name)]
      )
    this.tabs = {
      sliders: { tab: tab('sliders'), list: this.sliders },
      looks: { tab: tab('looks'), list: this.looks }
    }
    for (const [name, { list }] of Object.entries(this.tabs)) {
      list.element.setAttribute('role', 'tabpanel')
      list.element.setAttribute('aria-label', say(name))
    }
    const tabs = Object.values(this.tabs).map((entry) => entry.tab)
    return make('div', { className: 'aua-tabs', role: 'tablist' }, tabs)
  }
}
