/**
 * The SVG elements of the drawn face, from the back to the front, before anything is drawn in them.
 *
 * What exists twice has its side in its name: brow0 is the person's left, brow1 the right.
 */

import { IRIS } from './upper.js'

const SVG = 'http://www.w3.org/2000/svg'
export const SIDES = [0, 1]

// A picture of a face, so the same by day and by night.
const COLOURS = {
  skin: '#f0cfb6',
  neck: '#d8a585',
  blush: '#e2a08a',
  line: '#7d4f3b',
  outline: '#a8775d',
  hair: '#4a372f',
  brow: '#463229',
  lash: '#3a2822',
  lip: '#c97b73',
  upperLip: '#b9685f',
  lipLine: '#7c3c37',
  white: '#fdfaf6',
  lidShadow: '#6b5a55',
  iris: '#5b7f93',
  irisEdge: '#3a5362',
  pupil: '#1c1a1c',
  nostril: '#6d4031',
  mouth: '#4b1f1f',
  tongue: '#b9605b',
  teeth: '#fbf8f1'
}
const NECK = 'M-39 78C-38 112 -44 126 -66 142L66 142C44 126 38 112 39 78Z'
const HAIR =
  'M-75 -8C-84 -70 -72 -134 0 -134C72 -134 84 -70 75 -8C73 -24 71 -40 66 -56' +
  'C60 -78 46 -92 30 -95C12 -92 -12 -91 -30 -95C-48 -91 -62 -76 -66 -56C-71 -40 -73 -24 -75 -8Z'

export function create(tag, attributes = {}, children = []) {
  const element = document.createElementNS(SVG, tag)
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value)
  element.append(...children)
  return element
}

const stroke = (colour, width, opacity = 1) => ({
  fill: 'none',
  stroke: colour,
  'stroke-width': width,
  'stroke-linecap': 'round',
  opacity
})

/** {elements, parts, lines}: what goes into the SVG, what moves by its name, where wrinkles go. */
export function buildLayers(name) {
  const parts = {}
  const part = (key, tag, attributes = {}) => (parts[key] = create(tag, attributes))
  const lines = create('g', stroke(COLOURS.line, 1.15))
  const elements = [
    definitions(name, part),
    ...head(name, part),
    ...nose(part),
    ...SIDES.flatMap((side) => eye(name, part, side)),
    ...mouth(name, part),
    lines
  ]
  return { elements, parts, lines }
}

function definitions(name, part) {
  const clip = (key) => create('clipPath', { id: `${name}-${key}` }, [part(`${key}Clip`, 'path')])
  const stop = (offset, opacity) =>
    create('stop', { offset, 'stop-color': COLOURS.blush, 'stop-opacity': opacity })
  const blush = create('radialGradient', { id: `${name}-blush` }, [stop(0, 0.8), stop(1, 0)])
  return create('defs', {}, [blush, clip('eye0'), clip('eye1'), clip('gap')])
}

function head(name, part) {
  const skin = { fill: COLOURS.skin, stroke: COLOURS.outline, 'stroke-width': 1.2 }
  const ears = SIDES.map((side) =>
    create('ellipse', { cx: side ? -74.5 : 74.5, cy: -3, rx: 7.5, ry: 18, ...skin })
  )
  const blush = SIDES.map((side) =>
    part(`cheek${side}`, 'ellipse', { rx: 22, ry: 17, fill: `url(#${name}-blush)` })
  )
  return [
    create('path', { d: NECK, fill: COLOURS.neck }),
    ...ears,
    part('head', 'path', skin),
    create('path', { d: HAIR, fill: COLOURS.hair }),
    ...blush
  ]
}

function nose(part) {
  const halves = SIDES.flatMap((side) => [
    part(`bridge${side}`, 'path', stroke(COLOURS.neck, 1.4, side ? 0.8 : 0.55)), // light from one side
    part(`wing${side}`, 'path', stroke(COLOURS.line, 1.3, 0.85)),
    part(`nostril${side}`, 'ellipse', { rx: 3.1, ry: 1.5, fill: COLOURS.nostril, opacity: 0.8 })
  ])
  return [...halves, part('tip', 'path', stroke(COLOURS.line, 1.2, 0.7))]
}

function eye(name, part, side) {
  const [x, y] = [side ? -IRIS.center[0] : IRIS.center[0], IRIS.center[1]]
  const disc = (r, attributes, dx = 0, dy = 0) =>
    create('circle', { cx: x + dx, cy: y + dy, r, ...attributes })
  const ball = create('g', { 'clip-path': `url(#${name}-eye${side})` }, [
    part(`eye${side}`, 'path', { fill: COLOURS.white }),
    disc(IRIS.radius, { fill: COLOURS.iris, stroke: COLOURS.irisEdge, 'stroke-width': 1 }),
    disc(IRIS.pupil, { fill: COLOURS.pupil }),
    disc(1.5, { fill: '#fff', opacity: 0.9 }, 2.6, -2.8),
    part(`lidShadow${side}`, 'path', stroke(COLOURS.lidShadow, 4, 0.16))
  ])
  return [
    ball,
    part(`crease${side}`, 'path', stroke(COLOURS.line, 1.1)),
    part(`lowerLid${side}`, 'path', stroke(COLOURS.line, 1, 0.75)),
    part(`upperLid${side}`, 'path', stroke(COLOURS.lash, 2.1)),
    part(`brow${side}`, 'path', { fill: COLOURS.brow })
  ]
}

function mouth(name, part) {
  const inside = create('g', { 'clip-path': `url(#${name}-gap)` }, [
    part('gap', 'path', { fill: COLOURS.mouth }),
    part('tongue', 'ellipse', { cx: 0, rx: 14, ry: 7, fill: COLOURS.tongue }),
    part('teeth', 'path', { fill: COLOURS.teeth })
  ])
  return [
    inside,
    part('upperLip', 'path', { fill: COLOURS.upperLip }),
    part('lowerLip', 'path', { fill: COLOURS.lip }),
    part('lipLine', 'path', stroke(COLOURS.lipLine, 1.3)),
    part('lowerLipLight', 'path', stroke('#fff', 2, 0.22))
  ]
}
