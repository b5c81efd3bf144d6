/**
 * The drawn face: an SVG whose paths follow AU intensities.
 *
 *     const drawing = new FaceDrawing()
 *     parent.append(drawing.element)
 *     drawing.show({ 12: [4, 1], 25: [2, 2] }) // [left, right] of the person, 0..5
 */

import { add, line, loop, mix, outline } from './curves.js'
import { chinDrop, cheek, headOutline, lowerLines, mouth, nose } from './lower.js'
import { halfOf, middleOf, place } from './sides.js'
import { IRIS, brow, crease, eye, upperLines } from './upper.js'

const SVG = 'http://www.w3.org/2000/svg'
const WHOLE = '-86 -135 172 274'
const CLOSE = '-72 -84 144 210' // brows to chin, for small drawings
const SIDES = [0, 1] // the subject's left, then right

// A picture of a face, so the same by day and by night.
export const COLOURS = {
  skin: '#f0cfb6',
  shade: '#d8a585',
  blush: '#e2a08a',
  line: '#7d4f3b',
  outline: '#a8775d',
  hair: '#4a372f',
  brow: '#463229',
  lip: '#c97b73',
  upperLip: '#b9685f',
  lipLine: '#7c3c37',
  white: '#fdfaf6',
  iris: '#5b7f93',
  pupil: '#1c1a1c',
  mouth: '#4b1f1f',
  tongue: '#b9605b',
  teeth: '#fbf8f1'
}

let drawings = 0 // clip paths and gradients need names of their own

/** Set an attribute where it differs: what stays as it is need not be painted again. */
function set(element, name, value) {
  if (element.getAttribute(name) !== String(value)) element.setAttribute(name, value)
}

function create(name, attributes = {}, children = []) {
  const element = document.createElementNS(SVG, name)
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value)
  element.append(...children)
  return element
}

export class FaceDrawing {
  /** close: without hair and neck, so that a small drawing can be read. */
  constructor({ close = false } = {}) {
    this.name = `aua-face-${drawings++}`
    this.parts = {}
    this.element = create('svg', {
      viewBox: close ? CLOSE : WHOLE,
      'aria-hidden': 'true',
      focusable: 'false'
    })
    this.element.append(...this.#layers())
    this.show({})
  }

  /** Draw {number: [left, right]}. */
  show(face) {
    const halves = SIDES.map((side) => halfOf(face, side))
    const middle = middleOf(...halves)
    this.#showHead(halves, middle)
    this.#showEyes(halves)
    this.#showNose(halves)
    this.#showMouth(halves, middle)
    this.#showLines(halves, middle)
  }

  #layers() {
    const { name } = this
    const part = (key, tag, attributes) => (this.parts[key] = create(tag, attributes))
    const path = (key, attributes) => part(key, 'path', { fill: 'none', ...attributes })
    const clip = (key) =>
      create('clipPath', { id: `${name}-${key}` }, [part(`${key}Clip`, 'path', {})])
    const shade = create('radialGradient', { id: `${name}-blush` }, [
      create('stop', { offset: 0, 'stop-color': COLOURS.blush, 'stop-opacity': 0.8 }),
      create('stop', { offset: 1, 'stop-color': COLOURS.blush, 'stop-opacity': 0 })
    ])
    const head = [
      create('path', { d: 'M-39 78C-38 112 -44 126 -66 142L66 142C44 126 38 112 39 78Z', fill: COLOURS.shade }),
      ...SIDES.map((side) => create('ellipse', { cx: side ? -74.5 : 74.5, cy: -3, rx: 7.5, ry: 18, fill: COLOURS.skin, stroke: COLOURS.outline, 'stroke-width': 1.1 })),
      path('head', { fill: COLOURS.skin, stroke: COLOURS.outline, 'stroke-width': 1.3 }),
      create('path', { d: HAIR, fill: COLOURS.hair }),
      ...SIDES.map((side) => part(`cheek${side}`, 'ellipse', { rx: 22, ry: 17, fill: `url(#${name}-blush)` }))
    ]
    const eyes = SIDES.flatMap((side) => [
      create('g', { 'clip-path': `url(#${name}-eye${side})` }, [
        path(`eye${side}`, { fill: COLOURS.white }),
        create('circle', { ...at(IRIS.center, side), r: IRIS.radius, fill: COLOURS.iris, stroke: '#3a5362', 'stroke-width': 1 }),
        create('circle', { ...at(IRIS.center, side), r: IRIS.pupil, fill: COLOURS.pupil }),
        create('circle', { cx: at(IRIS.center, side).cx + 2.6, cy: IRIS.center[1] - 2.8, r: 1.5, fill: '#fff', opacity: 0.9 }),
        path(`lidShadow${side}`, { stroke: '#6b5a55', 'stroke-width': 4, opacity: 0.16 })
      ]),
      path(`crease${side}`, { stroke: COLOURS.line, 'stroke-width': 1.1, 'stroke-linecap': 'round' }),
      path(`lowerLid${side}`, { stroke: COLOURS.line, 'stroke-width': 1, 'stroke-linecap': 'round', opacity: 0.75 }),
      path(`upperLid${side}`, { stroke: '#3a2822', 'stroke-width': 2.1, 'stroke-linecap': 'round' }),
      path(`brow${side}`, { fill: COLOURS.brow })
    ])
    const noses = SIDES.flatMap((side) => [
      path(`bridge${side}`, { stroke: COLOURS.shade, 'stroke-width': 1.4, 'stroke-linecap': 'round', opacity: side ? 0.8 : 0.55 }),
      path(`wing${side}`, { stroke: COLOURS.line, 'stroke-width': 1.3, 'stroke-linecap': 'round', opacity: 0.85 }),
      part(`nostril${side}`, 'ellipse', { rx: 3.1, ry: 1.5, fill: '#6d4031', opacity: 0.8 })
    ])
    noses.push(path('tip', { stroke: COLOURS.line, 'stroke-width': 1.2, 'stroke-linecap': 'round', opacity: 0.7 }))
    const lips = [
      create('g', { 'clip-path': `url(#${name}-gap)` }, [
        path('gap', { fill: COLOURS.mouth }),
        part('tongue', 'ellipse', { cx: 0, rx: 14, ry: 7, fill: COLOURS.tongue }),
        path('teeth', { fill: COLOURS.teeth })
      ]),
      path('upperLip', { fill: COLOURS.upperLip }),
      path('lowerLip', { fill: COLOURS.lip }),
      path('lipLine', { stroke: COLOURS.lipLine, 'stroke-width': 1.3, 'stroke-linecap': 'round', 'stroke-linejoin': 'round' }),
      path('lowerLipLight', { stroke: '#fff', 'stroke-width': 2, 'stroke-linecap': 'round', opacity: 0.22 })
    ]
    this.lines = create('g', { stroke: COLOURS.line, 'stroke-width': 1.15, fill: 'none', 'stroke-linecap': 'round' })
    const defs = create('defs', {}, [shade, clip('eye0'), clip('eye1'), clip('gap')])
    return [defs, ...head, ...noses, ...eyes, ...lips, this.lines]
  }

  #set(key, d) {
    set(this.parts[key], 'd', d)
  }

  #showHead(halves) {
    const left = headOutline(halves[0])
    const right = place(headOutline(halves[1]), 1).reverse()
    const chin = mix(left.at(-1), right[0])
    this.#set('head', loop([...left.slice(0, -1), chin, ...right.slice(1, -1)]))
    SIDES.forEach((side) => {
      const { center, strength } = cheek(halves[side])
      const { cx, cy } = at(center, side)
      set(this.parts[`cheek${side}`], 'cx', cx)
      set(this.parts[`cheek${side}`], 'cy', cy)
      set(this.parts[`cheek${side}`], 'opacity', strength)
    })
  }

  #showEyes(halves) {
    SIDES.forEach((side) => {
      const a = halves[side]
      const lids = eye(a)
      const [upper, lower] = [place(lids.upper, side), place(lids.lower, side)]
      const shape = outline(upper, [...lower].reverse())
      this.#set(`eye${side}`, shape)
      this.#set(`eye${side}Clip`, shape)
      this.#set(`lidShadow${side}`, line(upper))
      this.#set(`upperLid${side}`, line(upper))
      this.#set(`lowerLid${side}`, line(lower))
      const fold = crease(a)
      this.#set(`crease${side}`, line(place(fold.points, side)))
      set(this.parts[`crease${side}`], 'opacity', fold.strength)
      const edges = brow(a)
      this.#set(`brow${side}`, outline(place(edges.upper, side), place([...edges.lower].reverse(), side), place(browEnd(edges), side)))
    })
  }

  #showNose(halves) {
    const tips = SIDES.map((side) => place(nose(halves[side]).tip, side))
    const middle = mix(tips[0][0], tips[1][0])
    this.#set('tip', line([...tips[1].slice(1).reverse(), middle, ...tips[0].slice(1)]))
    SIDES.forEach((side) => {
      const { wing, nostril, bridge } = nose(halves[side])
      this.#set(`wing${side}`, line(place(wing, side)))
      this.#set(`bridge${side}`, line(place(bridge, side)))
      const { cx, cy } = at(nostril, side)
      set(this.parts[`nostril${side}`], 'cx', cx)
      set(this.parts[`nostril${side}`], 'cy', cy)
    })
  }

  #showMouth(halves, middle) {
    const [left, right] = halves.map(mouth)
    const across = (names, centre) => {
      const mirrored = place(names.map((name) => right[name]), 1)
      const own = names.map((name) => left[name]).reverse()
      return [...mirrored, mix(left[centre], [-right[centre][0], right[centre][1]]), ...own]
    }
    const top = across(['corner', 'side', 'peak'], 'dip')
    const upper = across(['corner', 'upperIn'], 'upperMid')
    const lower = across(['corner', 'lowerIn'], 'lowerMid')
    const bottom = across(['corner', 'near', 'below'], 'bottom')
    const back = (points) => [...points].reverse()
    this.#set('upperLip', outline(top, back(upper)))
    this.#set('lowerLip', outline(lower, back(bottom)))
    this.#set('gap', outline(upper, back(lower)))
    this.#set('gapClip', outline(upper, back(lower)))
    this.#showInside(upper, lower)
    this.#set('lipLine', line(upper) + line(lower))
    const pressed = Math.max(0, middle(24))
    set(this.parts.lipLine, 'stroke-width', 1.3 + 1.1 * pressed)
    const light = bottom.slice(2, -2).map((point, index) => mix(point, lower[Math.min(index + 1, 3)], 0.45))
    this.#set('lowerLipLight', line(light))
  }

  /** Teeth hang from the upper lip's inner edge; the tongue lies low in an open mouth. */
  #showInside(upper, lower) {
    const opening = lower[2][1] - upper[2][1]
    const height = Math.min(0.62 * opening, 5.2)
    const edge = upper.map(([x, y], index) => [0.96 * x, y + (index === 0 || index === 4 ? 0.3 : 1) * height])
    this.#set('teeth', outline(upper, [...edge].reverse()))
    set(this.parts.tongue, 'cy', lower[2][1] + 1)
    set(this.parts.tongue, 'opacity', opening > 9 ? 1 : 0)
  }

  #showLines(halves) {
    const found = SIDES.flatMap((side) =>
      [...upperLines(halves[side]), ...lowerLines(halves[side])].map(({ points, strength }) => ({
        d: strength > 0.01 ? line(place(points, side)) : '',
        strength
      }))
    )
    while (this.lines.childElementCount < found.length) this.lines.append(create('path'))
    found.forEach(({ d, strength }, index) => {
      const path = this.lines.children[index]
      set(path, 'd', d)
      set(path, 'opacity', (0.85 * strength).toFixed(3))
    })
  }
}

/** The inner end of the brow, rounded: from the lower edge to the upper. */
const browEnd = ({ upper, lower }) => [lower[0], add(mix(lower[0], upper[0]), [-2.2, 0]), upper[0]]

const HAIR =
  'M-75 -8C-84 -70 -72 -134 0 -134C72 -134 84 -70 75 -8C73 -24 71 -40 66 -56C60 -78 46 -92 30 -95C12 -92 -12 -91 -30 -95C-48 -91 -62 -76 -66 -56C-71 -40 -73 -24 -75 -8Z'

const at = ([x, y], side) => ({ cx: side ? -x : x, cy: y })
