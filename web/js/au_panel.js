/**
 * The AU panel as a widget of AU Vector, in the classic canvas and in Nodes 2.0.
 *
 * The node's own widgets hold its values and are only hidden behind the panel, so a graph is queued
 * and saved as it is without JavaScript. The server knows nothing of this widget.
 */

import { api } from '../../../scripts/api.js'
import { app } from '../../../scripts/app.js'
import { Panel } from './panel/panel.js'
import { isInPage } from './panel/links.js'
import { loadTables } from './panel/tables.js'
import { make } from './panel/elements.js'
import { Place } from './panel/place.js'
import { ENGLISH } from './panel/words.js'

const NODE = 'AUA_AUVector'
const TYPE = 'AUA_PANEL'
const NAME = 'face_panel'
const PLAIN = 'plain sliders' // the node's property that asks for its own widgets
const SIZE = { minWidth: 380, minHeight: 620 }
const HEIGHT = 430 // of the panel; about what the plain widgets take
const HEIGHT_PLAIN = 34

const views = new Set() // of the nodes that are in a graph

app.registerExtension({
  name: 'AU-Adapter.Panel',

  beforeRegisterNodeDef(_, definition) {
    if (definition.name !== NODE) return
    definition.input.optional = { ...definition.input.optional, [NAME]: [TYPE, {}] }
    definition.input_order?.optional?.push(NAME)
  },

  getCustomWidgets() {
    return { [TYPE]: (node) => ({ widget: new PanelView(node).widget, ...SIZE }) }
  },

  setup() {
    const style = new URL('../css/au_panel.css', import.meta.url).href
    document.head.append(make('link', { rel: 'stylesheet', href: style }))
    waitForWords()
    api.addEventListener('graphChanged', () => views.forEach((view) => view.refresh()))
    api.addEventListener('executed', ({ detail }) =>
      views.forEach(({ panel }) =>
        panel?.executed(detail.display_node ?? detail.node, detail.output)
      )
    )
  },

  afterConfigureGraph() {
    views.forEach((view) => (isInPage(view.node) ? view.refresh() : view.close()))
    requestAnimationFrame(() => views.forEach(({ place }) => place.take()))
  }
})

/** The widget: the panel, or a button that brings it back while the plain widgets are shown. */
class PanelView {
  constructor(node) {
    this.node = node
    this.plain = node.widgets.map((widget) => ({ widget, advanced: widget.options?.advanced }))
    this.place = new Place(node, NAME, () => views.has(this) && this.#showPlace())
    this.element = this.place.element
    this.widget = node.addDOMWidget(NAME, TYPE, this.element, {
      getValue: () => '',
      setValue: () => {},
      getMinHeight: () => (this.isPlain ? HEIGHT_PLAIN : HEIGHT),
      hideOnZoom: false,
      serialize: false, // not in what is queued
      socketless: true
    })
    this.widget.serialize = false // nor in what is saved
    this.#follow('onConfigure', () => this.refresh())
    this.#follow('onConnectionsChange', () => this.refresh())
    this.#follow('onAdded', () => views.add(this))
    this.#follow('onRemoved', () => this.close())
    this.#arrange()
    loadTables().then(
      (tables) => this.#fill(tables),
      (error) => this.#fail(error)
    )
  }

  get isPlain() {
    return this.failed || this.node.properties?.[PLAIN] === true
  }

  refresh() {
    this.#arrange()
    this.panel?.refresh()
  }

  #fill(tables) {
    this.panel = new Panel(this.node, tables, () => this.#showPlain(true))
    const label = (this.widget.label = tables.say('panel'))
    this.back = make(
      'button',
      { type: 'button', className: 'aua-back', onclick: () => this.#showPlain(false) },
      [label]
    )
    this.element.replaceChildren(this.panel.element, this.back)
    this.#showPlace()
    this.#arrange()
  }

  #showPlace() {
    this.place.take()
    this.element.classList.toggle('aua-app', this.place.isInApp)
    this.panel?.showInApp(this.place.isInApp)
  }

  close() {
    views.delete(this)
    this.panel?.close()
  }

  #fail(error) {
    this.failed = true
    this.element.replaceChildren(make('p', {}, [`${ENGLISH.failed} ${error.message}`]))
    this.#arrange()
  }

  #showPlain(plain) {
    if (plain) this.node.properties[PLAIN] = true
    else delete this.node.properties[PLAIN]
    this.refresh()
    const [width] = this.node.size
    this.node.setSize([width, Math.max(this.node.computeSize()[1], plain ? 0 : SIZE.minHeight)])
    app.canvas?.emitBeforeChange?.()
    app.canvas?.emitAfterChange?.()
    app.canvas?.setDirty?.(true, true)
  }

  /** Hide or show the plain widgets. Those that an app shows (App Mode) are never hidden. */
  #arrange() {
    const shown = this.isPlain
    this.element.classList.toggle('aua-plain', shown)
    let changed = false
    for (const { widget, advanced } of this.plain) {
      const hidden = !shown && !isInApp(this.node, widget)
      changed ||= widget.hidden !== hidden
      widget.hidden = hidden
      widget.options.hidden = hidden
      widget.options.advanced = !hidden && advanced // or Nodes 2.0 offers to show what is hidden
    }
    if (changed) this.#lookAgain()
  }

  /** Nodes 2.0 reads what is hidden when the list of widgets changes. */
  #lookAgain() {
    const widgets = [...this.node.widgets]
    this.node.widgets = []
    this.node.widgets = widgets
  }

  #follow(name, then) {
    const before = this.node[name]
    this.node[name] = function (...values) {
      const answer = before?.apply(this, values)
      then()
      return answer
    }
  }
}

/** A graph is queued only when the words that were typed last stand in its sliders. */
function waitForWords() {
  const { graphToPrompt } = app
  app.graphToPrompt = async function (...graph) {
    await Promise.allSettled([...views].map(({ panel }) => panel?.applied))
    return graphToPrompt.apply(this, graph)
  }
}

/**
 * Whether an app (App Mode) needs this plain widget: `extra.linearData` of the workflow lists it and
 * not the panel, which shows its value too.
 */
function isInApp(node, widget) {
  const inputs = app.rootGraph?.extra?.linearData?.inputs ?? []
  // A newer page writes graph:node:widget where older ones write the node alone.
  const isNode = (id) => String(id) === String(node.id) || String(id).includes(`:${node.id}:`)
  const listed = (name) => inputs.some(([id, shown]) => isNode(id) && shown === name)
  return listed(widget.name) && !listed(NAME)
}
