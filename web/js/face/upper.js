/**
 * The upper face, one half at a time: brow, eye, forehead and the root of the nose.
 *
 * What each AU moves follows its muscle (FACS 2002): frontalis lifts the brow inside (1) and outside
 * (2), corrugator and procerus draw it down and inwards (4), levator palpebrae lifts the upper lid
 * (5), orbicularis oculi closes the eye from around it (6) or in the lids (7).
 */

import { add, mix } from './curves.js'
import { shown } from './sides.js'

// From the inner end of the brow to the outer one: its spine, half its thickness, and the way that
// each AU moves it.
const BROW = [
  [14.5, -35],
  [26, -39.4],
  [41, -42],
  [52, -38.8],
  [60, -32.4]
]
const BROW_THICKNESS = [2.7, 3.4, 2.8, 1.8, 0.3]
const BROW_MOVES = {
  1: [
    [0, -13],
    [0, -7],
    [0, -1.5],
    [0, 0],
    [0, 0]
  ],
  2: [
    [0, 0],
    [0, -3],
    [0, -10],
    [0, -11.5],
    [0, -8]
  ],
  4: [
    [-6.5, 8],
    [-5, 7.5],
    [-2.5, 5.4],
    [-1, 3.2],
    [0, 1.4]
  ],
  6: [
    [0, 0],
    [0, 0],
    [0, 0.8],
    [0, 2],
    [0, 2.5]
  ],
  9: [
    [-2, 5.5],
    [-1, 3.5],
    [0, 1.2],
    [0, 0],
    [0, 0]
  ]
}

/** The spine of the brow. Where 1 pulls against 4, the inner end stays up: the brow slants. */
export function browSpine(a) {
  const held = 1 - 0.9 * shown(1.3 * a(1))
  return BROW.map((point, index) =>
    Object.entries(BROW_MOVES).reduce((moved, [unit, moves]) => {
      const [dx, dy] = moves[index]
      const kept = unit === '4' && index < 2 ? held : 1
      return add(moved, [dx, dy * kept], a(Number(unit)))
    }, point)
  )
}

/** Upper and lower edge of the brow, both from the inner end outwards. */
export function brow(a) {
  const spine = browSpine(a)
  const edge = (sign) => spine.map((point, index) => add(point, [0, sign * BROW_THICKNESS[index]]))
  return { upper: edge(-1), lower: edge(1) }
}

export const IRIS = { center: [33.5, -11.5], radius: 8, pupil: 3.6 }
const INNER_CORNER = [17.5, -8]
const OUTER_CORNER = [51, -11.5]
const UPPER_LID = [
  [24, -14.8],
  [33.5, -18],
  [43.5, -16.6]
]
const LOWER_LID = [
  [25, -3.9],
  [35, -2.4],
  [44, -5.4]
]
const UPPER_LID_MOVES = {
  1: [-1.2, -0.6, 0],
  4: [1.4, 1, 0.2],
  5: [-4.8, -6.8, -5.8],
  6: [0.2, 1.2, 3],
  7: [0.8, 1.6, 1.6],
  9: [1.6, 1.2, 0.2]
}
const LOWER_LID_MOVES = {
  5: [0.3, 0.6, 0.4],
  6: [-1.8, -3.2, -3.4],
  7: [-3.8, -5.8, -4.4],
  9: [-2.6, -2.4, -1.2],
  12: [-0.6, -1.4, -1.4]
}

const lid = (points, moves, a) =>
  points.map((point, index) =>
    Object.entries(moves).reduce(
      (moved, [unit, heights]) => add(moved, [0, heights[index]], a(Number(unit))),
      point
    )
  )

/** Both lids from the inner corner to the outer one. The upper one never passes the lower. */
export function eye(a) {
  const lower = lid(LOWER_LID, LOWER_LID_MOVES, a)
  const open = lid(UPPER_LID, UPPER_LID_MOVES, a)
  const closing = shown(a(43))
  const upper = open.map((point, index) => {
    const [x, y] = mix(point, [point[0], lower[index][1]], closing)
    return [x, Math.min(y, lower[index][1] - 0.8 * (1 - closing))]
  })
  const outer = add(OUTER_CORNER, [0, 1], a(6))
  return {
    upper: [INNER_CORNER, ...upper, outer],
    lower: [INNER_CORNER, ...lower, outer],
    closed: closing
  }
}

/**
 * The crease over the upper lid: 2 and 1 clear it, 4 and 9 push skin over it, 5 folds the lid in. It
 * comes down a little where the lid falls (43).
 */
export function crease(a) {
  const lift = -2.2 * a(2) - 1.2 * a(1) + 2.6 * a(4) + 1.4 * a(9) + 1.2 * a(6)
  const lids = eye((unit) => (unit === 43 ? 0.25 : 1) * a(unit)).upper
  const above = [5.2, 5.6, 5, 3.4].map((gap, index) => {
    const near = Math.max(gap * (1 - 0.55 * shown(a(5))) - lift, 1.6)
    return add(lids[index + 1], [index === 0 ? -1 : 0.6 * index, -near])
  })
  return { points: above, strength: 0.45 + 0.25 * shown(a(5)) }
}

/** Lines that the upper face gets: each is {points, strength 0..1}. */
export function upperLines(a) {
  return [
    ...foreheadLines(a),
    ...frownLines(a),
    ...rootLines(a),
    ...crowsFeet(a),
    ...lowerLidLines(a)
  ]
}

/** Across the forehead: frontalis inside (1) makes the middle part, outside (2) the sides. */
function foreheadLines(a) {
  return [-57, -66, -75].flatMap((y, row) => {
    const arch = [
      [0, -2.5],
      [11, -3],
      [23, -0.5],
      [40, -3.5],
      [56, 2]
    ].map(([x, dy], index) => {
      const raised = index < 3 ? -1.5 * a(1) : -3 * a(2)
      return [x, y + dy * (index < 3 ? shown(a(1)) : shown(a(2))) + raised + 0.0012 * x * x]
    })
    const fade = 1 - 0.15 * row
    return [
      { points: arch.slice(0, 3), strength: fade * shown(a(1)) },
      { points: arch.slice(2), strength: fade * shown(a(2)) }
    ]
  })
}

/** Upright furrows between the brows (4); 1 slants them. */
function frownLines(a) {
  const inner = browSpine(a)[0]
  const slant = 2 * shown(a(1))
  return [
    {
      points: [
        [inner[0] - 4.2 + slant, inner[1] - 9],
        [inner[0] - 4.6, inner[1] - 1],
        [inner[0] - 3.4, inner[1] + 5]
      ],
      strength: shown(a(4))
    },
    {
      points: [
        [inner[0] + 0.4 + slant, inner[1] - 11],
        [inner[0] - 0.8, inner[1] - 5]
      ],
      strength: 0.7 * shown(a(4))
    }
  ]
}

/** Along and across the root of the nose (9; a little of 4). */
function rootLines(a) {
  const nine = shown(a(9))
  const slants = [
    [-19, 4],
    [-12.5, 5],
    [-6, 5.6]
  ].map(([y, x]) => ({
    points: [
      [x - 1, y + 1.2],
      [x + 3.2, y - 1.2],
      [x + 7, y + 2.4]
    ],
    strength: nine
  }))
  const across = {
    points: [
      [0, -24],
      [3, -23.6],
      [6, -22]
    ],
    strength: Math.max(nine, 0.5 * shown(a(4)))
  }
  return [...slants, across]
}

/** Outside the eye (6). */
function crowsFeet(a) {
  const fan = [
    [
      [54, -15],
      [59, -18.5],
      [65, -20.5]
    ],
    [
      [55, -11],
      [60.5, -11.6],
      [66.5, -10.6]
    ],
    [
      [54, -7],
      [59, -4.6],
      [64, -0.6]
    ]
  ]
  return fan.map((points) => ({ points, strength: 0.9 * shown(a(6)) }))
}

/** Under the eye: the pouch of the lower lid (7, 6), and the furrow over a lifted cheek (6). */
function lowerLidLines(a) {
  const six = shown(a(6))
  const seven = shown(a(7))
  const rise = -4 * six - 3.6 * seven
  const pouch = [
    [21, -1.5],
    [28, 2.4],
    [37, 3],
    [46, -0.4]
  ].map((point) => add(point, [0, rise]))
  const furrow = [
    [17, 9],
    [26, 13.5],
    [39, 13.5],
    [52, 6]
  ].map((point) => add(point, [0, -5.5 * six]))
  return [
    { points: pouch, strength: 0.12 + 0.75 * Math.max(0.8 * six, seven) },
    { points: furrow, strength: 0.85 * six + 0.35 * shown(a(9)) }
  ]
}
