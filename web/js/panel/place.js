/**
 * Where the panel stands in the page: on its node, or in an app (App Mode).
 *
 * The page has several places for the one element of a widget. When a workflow is opened that was
 * open already, it puts the new element into the canvas behind the app, or leaves the old element
 * where the node had the same id: the panel then takes the place that a person sees.
 */

import { app } from '../../../../scripts/app.js'
import { make } from './elements.js'

const TAG = 'aua-widget'
const APP = '[data-testid="app-mode-widget-item"]' // an input in the app's column

/** It says when the page has put it somewhere. */
class WidgetElement extends HTMLElement {
  connectedCallback() {
    this.onplaced?.()
  }
}
customElements.define(TAG, WidgetElement)

export class Place {
  /** placed(): the page has put the element somewhere, and has drawn what is around it. */
  constructor(node, name, placed) {
    Object.assign(this, { node, name })
    const onplaced = () => requestAnimationFrame(placed)
    this.element = make(TAG, { className: 'aua-widget', onplaced })
  }

  get isInApp() {
    return this.element.closest(APP) !== null
  }

  /** Whether the canvas shows the node's graph; a node of a subgraph may have the same id. */
  get isShown() {
    return this.node.graph === app.canvas?.graph
  }

  /** Go to the app's column where an app shows this widget, else onto the node in Nodes 2.0. */
  take() {
    const inApp = document.querySelector(`${APP}[data-widget-key$=":${this.node.id}:${this.name}"]`)
    if (inApp) this.#moveInto(inApp)
    else if (this.isShown && !this.element.isConnected) this.#replaceOld(`[data-node-id="${this.node.id}"]`)
  }

  #moveInto(place) {
    if (place.contains(this.element)) return
    if (this.#replaceOld(`[data-widget-key="${place.dataset.widgetKey}"]`)) return
    let innermost = place
    while (innermost.lastElementChild) innermost = innermost.lastElementChild
    innermost.append(this.element)
  }

  /** Whether there was an element of another node to put this one in its stead. */
  #replaceOld(within) {
    const old = document.querySelector(`${within} ${TAG}`)
    old?.replaceWith(this.element)
    return Boolean(old)
  }
}
