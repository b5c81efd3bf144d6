/** What the graph around AU Vector says: which AUs its adapters know, and what was drawn and read. */

import { api } from '../../../../scripts/api.js'
import { nodeOf, origin, targets } from './links.js'

const VECTOR = 'AU_VECTOR'
const LOADERS = ['AUA_LoadAUAdapter', 'AUA_LoadDemoModel']
const PASSED_ON = { AUA_CalibrateAUAdapter: 'au_adapter', Reroute: '' } // what hands an adapter on
const answers = new Map() // what the server said of a loader's file

/** The nodes that an output reaches, along the links that `follows` accepts. */
function reached(node, follows, found = new Set()) {
  if (!node.graph) return found // it is being moved into a subgraph
  node.outputs?.forEach((output, slot) => {
    if (!follows(output)) return
    for (const next of targets(node, slot)) {
      if (found.has(next)) continue
      found.add(next)
      reached(next, follows, found)
    }
  })
  return found
}

const carriesVector = ({ type }) => type === VECTOR || type === '*'

/** The node that an input comes from, through nodes that hand it on; undefined where none is. */
function source(node, name) {
  const slot = !node.graph ? -1 : name ? node.findInputSlot(name) : 0
  const from = slot >= 0 ? origin(node, slot) : undefined
  return from && from.type in PASSED_ON ? source(from, PASSED_ON[from.type]) : from
}

/**
 * What the adapters know that this node's face reaches: {units: Set or null, sides}. Null where
 * nothing is connected that says so. With several adapters, what all of them know.
 */
export async function knownUnits(node, tables) {
  const known = []
  for (const next of reached(node, carriesVector)) {
    if (next.type === 'AUA_ApplyMagicFace') known.push({ units: tables.sets.set_a, sides: false })
    if (next.type !== 'AUA_AUEncoder') continue
    const answer = await askAbout(source(next, 'au_adapter'))
    if (answer) known.push(answer)
  }
  if (!known.length) return { units: null, sides: true }
  const [first, ...others] = known.map(({ units }) => units)
  return {
    units: new Set(first.filter((unit) => others.every((units) => units.includes(unit)))),
    sides: known.every(({ sides }) => sides)
  }
}

async function askAbout(loader) {
  if (!loader || !LOADERS.includes(loader.type)) return null
  const file = loader.widgets?.find(({ name }) => name === 'file')?.value ?? ''
  const query = new URLSearchParams({ node: loader.type, file }).toString()
  if (!answers.has(query)) {
    const answer = await api.fetchApi(`/au_adapter/known_units?${query}`)
    if (!answer.ok) return null // a file that is not there yet: the loader says so when it runs
    answers.set(query, await answer.json())
  }
  return answers.get(query)
}

/** The node that an `executed` message is about, if this node's face reaches it. */
export function reachedBy(node, id) {
  const executed = nodeOf(id)
  return executed && reached(node, () => true).has(executed) ? executed : null
}

/** The first face of the first picture that AU Estimator read: {estimator, codes}, else null. */
export function firstReading({ au_readings: readings }) {
  const found = readings?.[0]
  const codes = found?.images[0]?.faces[0]?.aus
  return codes ? { estimator: found.estimator, codes } : null
}

/** The address of the first picture among a node's outputs, else null. */
export function firstPicture({ images }) {
  const picture = images?.[0]
  if (!picture?.filename) return null
  const { filename, subfolder = '', type = 'output' } = picture
  return api.apiURL(`/view?${new URLSearchParams({ filename, subfolder, type })}`)
}
