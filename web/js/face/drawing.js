/**
 * The drawn face: an SVG whose paths follow AU intensities.
 *
 *     const drawing = new FaceDrawing()
 *     parent.append(drawing.element)
 *     drawing.show({ 12: [4, 1], 25: [2, 2] }) // [left, right] of the person, 0..5
 */

import { add, line, loop, mix, outline } from './curves.js'
import { SIDES, buildLayers, create } from './layers.js'
import { cheek, headOutline, lowerLines, nose } from './lower.js'
import { mouth } from './mouth.js'
import { halfOf, middleOf, place } from './sides.js'
import { brow, crease, eye, upperLines } from './upper.js'

// Left, top, width and height of what is seen.
const VIEWS = {
  whole: '-86 -135 172 274',
  app: '-84 -102 168 224', // without crown and neck, so that a narrow column shows it large
  close: '-72 -84 144 210' // brows to chin, for small drawings
}
const TEETH = 5.2 // how far the upper ones show, at most

let drawings = 0 // clip paths and gradients need names of their own

const back = (points) => [...points].reverse()

export class FaceDrawing {
  /** view: 'whole', 'app' or 'close'. */
  constructor({ view = 'whole' } = {}) {
    const { elements, parts, lines } = buildLayers(`aua-face-${drawings++}`)
    Object.assign(this, { parts, lines })
    this.element = create('svg', { 'aria-hidden': 'true', focusable: 'false' }, elements)
    this.view = view
    this.show({})
  }

  set view(name) {
    set(this.element, 'viewBox', VIEWS[name])
  }

  /** Draw {number: [left, right]}. */
  show(face) {
    const halves = SIDES.map((side) => halfOf(face, side))
    this.#showHead(halves)
    SIDES.forEach((side) => {
      this.#showEye(halves[side], side)
      this.#showCheek(halves[side], side)
    })
    this.#showNose(halves)
    this.#showMouth(halves)
    this.#showLines(halves)
  }

  #set(key, attributes) {
    for (const [name, value] of Object.entries(attributes)) set(this.parts[key], name, value)
  }

  #showHead(halves) {
    const left = headOutline(halves[0])
    const right = back(place(headOutline(halves[1]), 1))
    const chin = mix(left.at(-1), right[0])
    this.#set('head', { d: loop([...left.slice(0, -1), chin, ...right.slice(1, -1)]) })
  }

  #showCheek(a, side) {
    const { center, strength } = cheek(a)
    this.#set(`cheek${side}`, { ...at(center, side), opacity: strength })
  }

  #showEye(a, side) {
    const lids = eye(a)
    const [upper, lower] = [place(lids.upper, side), place(lids.lower, side)]
    const shape = outline(upper, back(lower))
    this.#set(`eye${side}`, { d: shape })
    this.#set(`eye${side}Clip`, { d: shape })
    this.#set(`lidShadow${side}`, { d: line(upper) })
    this.#set(`upperLid${side}`, { d: line(upper) })
    this.#set(`lowerLid${side}`, { d: line(lower) })
    const fold = crease(a)
    this.#set(`crease${side}`, { d: line(place(fold.points, side)), opacity: fold.strength })
    const edges = brow(a)
    const around = [edges.upper, back(edges.lower), browEnd(edges)]
    this.#set(`brow${side}`, { d: outline(...around.map((points) => place(points, side))) })
  }

  #showNose(halves) {
    const shapes = halves.map(nose)
    const [left, right] = shapes.map(({ tip }, side) => place(tip, side))
    const middle = mix(left[0], right[0])
    this.#set('tip', { d: line([...back(right.slice(1)), middle, ...left.slice(1)]) })
    shapes.forEach(({ wing, nostril, bridge }, side) => {
      this.#set(`wing${side}`, { d: line(place(wing, side)) })
      this.#set(`bridge${side}`, { d: line(place(bridge, side)) })
      this.#set(`nostril${side}`, at(nostril, side))
    })
  }

  #showMouth(halves) {
    const across = acrossOf(...halves.map(mouth))
    const top = across(['corner', 'side', 'peak'], 'dip')
    const upper = across(['corner', 'upperIn'], 'upperMid')
    const lower = across(['corner', 'lowerIn'], 'lowerMid')
    const bottom = across(['corner', 'near', 'below'], 'bottom')
    const gap = outline(upper, back(lower))
    this.#set('upperLip', { d: outline(top, back(upper)) })
    this.#set('lowerLip', { d: outline(lower, back(bottom)) })
    this.#set('gap', { d: gap })
    this.#set('gapClip', { d: gap })
    this.lipDown = Math.max(0, Math.min(1, middleOf(...halves)(16)))
    this.#showInside(upper, lower)
    const pressed = Math.max(0, middleOf(...halves)(24))
    this.#set('lipLine', { d: line(upper) + line(lower), 'stroke-width': 1.3 + 1.1 * pressed })
    const light = bottom.slice(2, -2).map((point, index) => mix(point, lower[index + 1], 0.45))
    this.#set('lowerLipLight', { d: line(light) })
  }

  /** Teeth hang from the upper lip's inner edge; the tongue lies low in an open mouth. */
  #showInside(upper, lower) {
    const opening = lower[2][1] - upper[2][1]
    const height = Math.min((0.62 - 0.3 * this.lipDown) * opening, TEETH)
    const corner = (index) => index === 0 || index === upper.length - 1
    const edge = upper.map(([x, y], index) => [0.96 * x, y + (corner(index) ? 0.3 : 1) * height])
    this.#set('teeth', { d: outline(upper, back(edge)) + this.#lowerTeeth(lower, opening, height) })
    this.#set('tongue', { cy: lower[2][1] + 1, opacity: opening > 9 ? 1 : 0 })
  }

  /** What the lip uncovers of the lower teeth where it is drawn down (16). */
  #lowerTeeth(lower, opening, upperTeeth) {
    const height = Math.min(0.75 * (opening - upperTeeth), TEETH) * this.lipDown
    if (height < 0.4) return ''
    const edge = lower.map(([x, y], index) => {
      const corner = index === 0 || index === lower.length - 1
      return [0.9 * x, y - (corner ? 0.2 : 1) * height]
    })
    return outline(lower, back(edge))
  }

  #showLines(halves) {
    const found = SIDES.flatMap((side) =>
      [...upperLines(halves[side]), ...lowerLines(halves[side])].map(({ points, strength }) => ({
        d: strength > 0.01 ? line(place(points, side)) : '',
        opacity: (0.85 * strength).toFixed(3)
      }))
    )
    while (this.lines.childElementCount < found.length) this.lines.append(create('path'))
    found.forEach(({ d, opacity }, index) => {
      set(this.lines.children[index], 'd', d)
      set(this.lines.children[index], 'opacity', opacity)
    })
  }
}

/** Set an attribute where it differs: what stays as it is need not be painted again. */
function set(element, name, value) {
  if (element.getAttribute(name) !== String(value)) element.setAttribute(name, value)
}

const at = ([x, y], side) => ({ cx: side ? -x : x, cy: y })

/** The inner end of the brow, rounded: from the lower edge to the upper. */
const browEnd = ({ upper, lower }) => [lower[0], add(mix(lower[0], upper[0]), [-2.2, 0]), upper[0]]

/** A line over both halves of the mouth, from the person's right corner to the left one. */
function acrossOf(left, right) {
  return (names, middle) => [
    ...place(
      names.map((name) => right[name]),
      1
    ),
    mix(left[middle], place([right[middle]], 1)[0]),
    ...back(names.map((name) => left[name]))
  ]
}
