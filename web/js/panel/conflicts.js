/** Which AUs of a face pull against each other: the rules of au_adapter/facs/conflicts.py. */

/** The rules that a face meets on either side, without those that a larger one of its kind says. */
export function findConflicts(face, { conflicts }) {
  const active = [0, 1].map(
    (side) =>
      new Set(
        Object.keys(face)
          .filter((unit) => face[unit][side] > 0)
          .map(Number)
      )
  )
  const found = conflicts
    .map((rule) => ({ ...rule, sides: [0, 1].filter((side) => applies(rule, active[side])) }))
    .filter((rule) => rule.sides.length)
  return found.filter((rule) => !found.some((other) => isInside(rule, other)))
}

function applies({ units, unless }, active) {
  const all = (wanted) => wanted.every((unit) => active.has(unit))
  return all(units) && !(unless.length && all(unless))
}

function isInside(rule, other) {
  return (
    rule.units.length < other.units.length &&
    rule.kind === other.kind &&
    rule.units.every((unit) => other.units.includes(unit)) &&
    rule.sides.every((side) => other.sides.includes(side))
  )
}
