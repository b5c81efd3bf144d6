/**
 * Live: drafts of the picture while one drags, the picture itself on release.
 *
 * One request at a time; what is asked for meanwhile replaces what waits. A draft runs the branch of
 * this node alone, with few steps, into a preview that nobody keeps. The picture runs the branch as
 * it is, with the seed as it is.
 */

import { api } from '../../../../scripts/api.js'
import { app } from '../../../../scripts/app.js'

const DRAFT = 'aua_draft_' // begins the name of the node that shows a draft; no graph has it
const DRAFT_STEPS = 6
const PICTURES = ['SaveImage', 'PreviewImage']
const ENDS = ['execution_success', 'execution_error', 'execution_interrupted']

export class Live {
  #wanted = null // 'draft' or 'picture'
  #running = null // the id of what the server works on
  #sending = false
  #early = new Set() // ids of what ended before the answer to its request came

  /** show(address): a draft is there. fail(message): it cannot go on, and is off. */
  constructor(node, { show, fail }) {
    Object.assign(this, { node, show, fail, on: false })
    this.listeners = [
      ...ENDS.map((name) => [name, ({ detail }) => this.#ended(name, detail)]),
      ['executed', ({ detail }) => this.#executed(detail)]
    ]
  }

  toggle() {
    this.on = !this.on
    for (const [name, listener] of this.listeners) {
      if (this.on) api.addEventListener(name, listener)
      else api.removeEventListener(name, listener)
    }
    this.#wanted = this.#running = null
    if (this.on) this.ask('picture')
  }

  /** Ask for a draft or the picture of the face as it is now. */
  ask(what) {
    if (!this.on) return
    this.#wanted = what
    requestAnimationFrame(() => this.#next()) // a release at once makes the draft needless
  }

  async #next() {
    if (!this.on || !this.#wanted || this.#running || this.#sending) return
    const what = this.#wanted
    this.#wanted = null
    this.#sending = true
    try {
      const { output, workflow } = await app.graphToPrompt()
      this.key = keyOf(output, this.node)
      const branch = branchOf(output, this.key, what === 'draft')
      const { prompt_id: prompt } = await api.queuePrompt(0, { output: branch, workflow })
      if (!this.#early.has(prompt)) this.#running = prompt
    } catch (error) {
      this.#stop(error.message)
    } finally {
      this.#early.clear()
      this.#sending = false
    }
    this.#next()
  }

  #executed({ node, output }) {
    const [picture] = output?.images ?? []
    if (node !== DRAFT + this.key || !picture) return
    this.show(api.apiURL(`/view?${new URLSearchParams(picture)}`))
  }

  #ended(name, { prompt_id: prompt }) {
    if (this.#sending) this.#early.add(prompt)
    if (prompt !== this.#running) return
    this.#running = null
    if (name === 'execution_success') this.#next()
    else this.#stop('')
  }

  #stop(message) {
    if (this.on) this.toggle()
    this.fail(message)
  }
}

/** The name of a node in a graph in API form: its number, after those of the subgraphs it is in. */
function keyOf(graph, node) {
  const id = String(node.id)
  const found = Object.keys(graph).filter((key) => key === id || key.endsWith(`:${id}`))
  return found.find((key) => graph[key].class_type === node.comfyClass) ?? id
}

/**
 * The part of a graph in API form that a node's face reaches: what makes its pictures and whatever
 * else its branch ends in, or with `draft` a preview of the first picture in few steps.
 */
export function branchOf(graph, id, draft) {
  const below = following(graph, id)
  const ends = [...below].filter((key) => isEnd(graph[key]))
  if (!draft) return withSources(graph, ends)
  const end = ends.find((key) => PICTURES.includes(graph[key].class_type))
  if (end === undefined) return withSources(graph, ends)
  const { images } = graph[end].inputs
  const preview = { class_type: 'PreviewImage', inputs: { images } }
  const name = DRAFT + id
  const branch = structuredClone(withSources({ ...graph, [name]: preview }, [name]))
  for (const { inputs } of Object.values(branch)) {
    const samples = 'sampler_name' in inputs || 'scheduler' in inputs
    if (samples && inputs.steps > DRAFT_STEPS) inputs.steps = DRAFT_STEPS
  }
  return branch
}

const isEnd = ({ class_type: kind }) =>
  LiteGraph.registered_node_types[kind]?.nodeData?.output_node === true

const sources = ({ inputs }) =>
  Object.values(inputs).flatMap((value) =>
    Array.isArray(value) && value.length === 2 ? [String(value[0])] : []
  )

function following(graph, id, found = new Set()) {
  for (const [key, node] of Object.entries(graph)) {
    if (found.has(key) || !sources(node).includes(id)) continue
    found.add(key)
    following(graph, key, found)
  }
  return found
}

function withSources(graph, ends, found = {}) {
  for (const key of ends) {
    if (key in found || !graph[key]) continue
    found[key] = graph[key]
    withSources(graph, sources(graph[key]), found)
  }
  return found
}
