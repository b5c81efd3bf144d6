// Runs in ComfyUI's page. Makes one node of an API graph, for the node library: a subgraph with the
// inputs, widgets and outputs that are named, and nothing else in the graph.
({ api, title, inputs, outputs, shows }) => {
  app.loadApiJson(api, 'workflow')
  const { graph } = app
  const { subgraph, node } = graph.convertToSubgraph(new Set(graph.nodes))
  node.title = subgraph.name = title
  for (const input of [...subgraph.inputs].reverse()) subgraph.removeInput(input)
  for (const output of [...subgraph.outputs].reverse()) subgraph.removeOutput(output)

  const inner = (id) => subgraph.getNodeById(id)
  for (const [name, targets] of Object.entries(inputs)) {
    const slots = targets.map(([id, slot]) => [inner(id).findInputSlot(slot), inner(id)])
    const input = subgraph.addInput(name, slots[0][1].inputs[slots[0][0]].type)
    for (const [slot, target] of slots) input.connect(target.inputs[slot], target)
  }
  for (const [name, [id, slot]] of Object.entries(outputs)) {
    const { type } = inner(id).outputs[slot]
    subgraph.addOutput(name, type).connect(inner(id).outputs[slot], inner(id))
  }
  for (const [id, widget, label] of shows) {
    const slot = inner(id).inputs.find((input) => input.widget?.name === widget)
    const input = subgraph.addInput(widget, slot.type)
    input.connect(slot, inner(id))
    subgraph.renameInput(input, label)
  }
  subgraph.nodes.forEach((one, index) => {
    one.setSize([one.type === 'AUA_AUVector' ? 560 : 300, one.computeSize()[1]])
    one.pos = [index === 0 ? 0 : 640 + (index - 1) * 360, 0]
  })
  subgraph.inputNode.pos = [-240, 0]
  subgraph.outputNode.pos = [1420, 0]
  node.pos = [0, 0]
  node.setSize([420, node.computeSize()[1]])
}
