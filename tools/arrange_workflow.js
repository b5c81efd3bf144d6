// Runs in ComfyUI's page. Loads an API graph, folds nodes into parts, adds the note, and stands all
// in columns as wide as they are told. Then measures each node in Nodes 2.0, where it may be taller,
// and gives it the height that suffices in both renderers.
async ({ api, columns, parts, note, app: shown, models }) => {
  const BETWEEN = 38 // the pack's badge stands above a node, or within it in Nodes 2.0
  const ASIDE = 34
  const TITLE = LiteGraph.NODE_TITLE_HEIGHT
  const NOTE = { color: '#2a3038', bgcolor: '#363e49' } // its links can be read on these
  const SETTING = 'Comfy.VueNodes.Enabled'

  app.loadApiJson(api, 'workflow')
  const { graph } = app
  for (const node of graph.nodes) setValues(node)
  for (const widget of graph.nodes.flatMap((node) => node.widgets ?? [])) {
    // The same face on every run, so that what changes is the expression.
    if (widget.name === 'control_after_generate') widget.value = 'fixed'
  }
  for (const node of graph.nodes) linkModels(node)
  const folded = Object.fromEntries(
    Object.entries(parts).map(([name, part]) => [name, fold(part)])
  )
  const about = addNote()
  stand()
  await measure()
  stand()
  nameSlots()
  if (shown) graph.extra.linearData = appOf(shown)
  if (shown) graph.extra.linearMode = true

  function find(name) {
    return name === 'note' ? about : (folded[name] ?? graph.getNodeById(name))
  }

  function addNote() {
    const node = LiteGraph.createNode('MarkdownNote')
    node.title = 'About this workflow'
    Object.assign(node, NOTE)
    graph.add(node)
    node.widgets[0].value = note
    return node
  }

  /** A page that has shown a node of this id in another workflow remembers that one's texts. */
  function setValues(node) {
    for (const widget of node.widgets ?? []) {
      const value = api[node.id].inputs[widget.name]
      if (value !== undefined && !Array.isArray(value)) widget.value = value
    }
  }

  /** What the page offers to download where a loader's file is missing. */
  function linkModels(node) {
    const found = (node.widgets ?? []).flatMap(({ value }) => models[value] ?? [])
    if (found.length) node.properties.models = [...new Map(found.map((m) => [m.name, m])).values()]
  }

  function fold({ title, nodes, shows }) {
    const { subgraph, node } = graph.convertToSubgraph(
      new Set(nodes.map((id) => graph.getNodeById(id)))
    )
    node.title = subgraph.name = title
    for (const input of [...subgraph.inputs].reverse()) {
      const slot = node.inputs.find(({ name }) => name === input.name)
      if (slot?.widget && slot.link == null) subgraph.removeInput(input)
    }
    for (const [label, targets] of Object.entries(shows)) show(subgraph, label, targets)
    spread(subgraph, nodes)
    return node
  }

  /** Let a widget of the part set widgets of nodes inside it. */
  function show(subgraph, label, targets) {
    const slots = targets.map(([id, name]) => {
      const inner = subgraph.getNodeById(id)
      return [inner.inputs.find(({ widget }) => widget?.name === name), inner]
    })
    const input = subgraph.addInput(label, slots[0][0].type)
    for (const [slot, inner] of slots) input.connect(slot, inner)
  }

  /** Stand the nodes of a part in rows of four, in the order in which they are listed. */
  function spread(subgraph, nodes) {
    let [x, y, bottom] = [0, 0, 0]
    nodes.forEach((id, index) => {
      const node = subgraph.getNodeById(id)
      node.setSize([300, node.computeSize()[1]])
      if (index && index % 4 === 0) [x, y] = [0, bottom + 2 * TITLE]
      node.pos = [x, y]
      x += 300 + 2 * ASIDE
      bottom = Math.max(bottom, y + node.size[1])
    })
    subgraph.inputNode.pos = [-220, 0]
    subgraph.outputNode.pos = [4 * (300 + 2 * ASIDE) + ASIDE, 0]
  }

  function stand() {
    let x = 0
    for (const [width, cells] of columns) {
      let y = 0
      for (const cell of cells) {
        const [name, height] = [cell].flat()
        const node = find(name)
        const least = Math.max(node.computeSize()[1], node.inNodes2 ?? 0)
        node.setSize([width, Math.max(height ?? 0, least)])
        node.pos = [x, y + TITLE]
        y += TITLE + node.size[1] + BETWEEN
      }
      x += width + ASIDE
    }
  }

  /** A part's output is called after the node that shows it. */
  function nameSlots() {
    for (const node of Object.values(folded)) {
      node.outputs.forEach((output, slot) => {
        const next = node.getOutputNodes(slot)?.[0]
        if (output.type === 'IMAGE' && next) output.label = next.title.toLowerCase()
      })
    }
  }

  async function measure() {
    const pause = (time) => new Promise((done) => setTimeout(done, time))
    await app.extensionManager.setting.set(SETTING, true)
    app.canvas.ds.scale = 0.5
    app.canvas.ds.offset = [100, 100]
    app.canvas.setDirty(true, true)
    await pause(1500)
    for (const node of graph.nodes) {
      const element = document.querySelector(`[data-node-id="${node.id}"]`)
      node.inNodes2 = element ? element.offsetHeight - TITLE : 0
    }
    await app.extensionManager.setting.set(SETTING, false)
    await pause(300)
  }

  function appOf({ inputs, output }) {
    return {
      inputs: inputs.map(([name, widget]) => [Number(find(name).id), widget]),
      outputs: [Number(find(output).id)]
    }
  }
}
