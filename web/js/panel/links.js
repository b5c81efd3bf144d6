/** Following links from node to node, in and out of subgraphs. */

import { app } from '../../../../scripts/app.js'

const [INPUTS, OUTPUTS] = [-10, -20] // the edges of a subgraph, as links name them

const linkOf = (graph, id) => (id == null ? undefined : graph.getLink(id))

/** The whole graph of the page and its subgraphs. */
const graphs = () => [app.rootGraph, ...(app.rootGraph?.subgraphs?.values() ?? [])]

/** Whether a node is still in the page's graph or a subgraph: of those, nobody removes the nodes. */
export const isInPage = (node) => graphs().some((graph) => graph?.getNodeById(node.id) === node)

/** The nodes that show a subgraph; none for the whole graph. */
function partsWith(graph) {
  return graphs().flatMap((within) => within.nodes.filter(({ subgraph }) => subgraph === graph))
}

/** The nodes that an output feeds. */
export function targets(node, slot) {
  return (node.outputs?.[slot]?.links ?? []).flatMap((id) => ends(node.graph, linkOf(node.graph, id)))
}

function ends(graph, link) {
  if (!link) return []
  const { target_id: id, target_slot: slot } = link
  if (Number(id) === OUTPUTS) return partsWith(graph).flatMap((part) => targets(part, slot))
  const next = graph.getNodeById(id)
  if (!next?.subgraph) return next ? [next] : []
  const { subgraph } = next
  return (subgraph.inputs[slot]?.linkIds ?? []).flatMap((inner) =>
    ends(subgraph, linkOf(subgraph, inner))
  )
}

/** The node that feeds an input; undefined where none does. */
export function origin(node, slot) {
  return start(node.graph, linkOf(node.graph, node.inputs?.[slot]?.link))
}

function start(graph, link) {
  if (!link) return undefined
  const { origin_id: id, origin_slot: slot } = link
  if (Number(id) === INPUTS) {
    const found = partsWith(graph).map((part) => origin(part, slot))
    return found.find(Boolean)
  }
  const from = graph.getNodeById(id)
  if (!from?.subgraph) return from ?? undefined
  const { subgraph } = from
  return start(subgraph, linkOf(subgraph, subgraph.outputs[slot]?.linkIds[0]))
}

/** The node that a message of the server names: its id, after those of the subgraphs it is in. */
export function nodeOf(id) {
  const path = String(id).split(':')
  const graph = path
    .slice(0, -1)
    .reduce((within, part) => find(within, part)?.subgraph, app.rootGraph)
  return find(graph, path.at(-1))
}

const find = (graph, id) => graph?.getNodeById(id) ?? graph?.getNodeById(Number(id)) ?? undefined
