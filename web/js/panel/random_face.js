/** A random face that a person could make: a look, weaker or stronger, varied a little. */

import { findConflicts } from './conflicts.js'
import { faceOfCodes } from './notation.js'

const LEAST = 0.5
const MOST = 4.5

/** usable: the AUs that may move. chance: a number from 0 to below 1, a new one at each call. */
export function randomFace(tables, usable, chance = Math.random) {
  const pick = (list) => list[Math.floor(chance() * list.length)]
  const shapes = tables.looks
    .flatMap((look) => Object.values(look.forms))
    .map(faceOfCodes)
    .filter((face) => Object.keys(face).every((unit) => usable.has(Number(unit))))
  const strength = 0.6 + 0.6 * chance()
  const face = {}
  for (const [unit, sides] of Object.entries(shapes.length ? pick(shapes) : {})) {
    const vary = chance() - 0.5
    face[unit] = sides.map((value) => (value ? plausible(strength * value + vary) : 0))
  }
  return withOneMore(face, tables, pick([...usable]), plausible(1 + 2 * chance()))
}

const plausible = (value) => Math.round(10 * Math.min(Math.max(value, LEAST), MOST)) / 10

/** The face with one AU more, unless that AU excludes or hides another. */
function withOneMore(face, tables, unit, value) {
  if (unit === undefined || face[unit]) return face
  const more = { ...face, [unit]: [value, value] }
  const clashes = findConflicts(more, tables).some(
    ({ units, kind }) => kind !== 'N' && units.includes(unit)
  )
  return clashes ? face : more
}
