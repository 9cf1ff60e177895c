"""Which tensors of a program share storage, and how much is alive at once.

A view takes no memory. An element-wise operator or batch norm writes over an input of its own size
if nothing else needs that input any more, as runtimes do; the network's own input is never written
over.
"""

from torch.export import ExportedProgram
from torch.fx import Node

from models.operators import IN_PLACE, elements, is_view, kind_of

FLOAT32 = 4


class Memory:
    """Which tensors share storage, and from where to where in the order each storage lives."""

    def __init__(self, program: ExportedProgram, nodes: list[Node]) -> None:
        self._inputs = set(program.graph_signature.user_inputs)
        self._root: dict[Node, Node] = {}
        self._bytes: dict[Node, int] = {}
        self._birth: dict[Node, int] = {}
        self._death: dict[Node, int] = {}
        for node in filter(is_view, nodes):
            self._root[node] = self.root(node.all_input_nodes[0])
        for index, node in enumerate([*nodes, program.graph.output_node()]):
            for tensor in (node, *node.all_input_nodes):
                self._death[self.root(tensor)] = index
        for index, node in enumerate(nodes):
            if node not in self._root:
                self._place(node, index)

    def root(self, node: Node) -> Node:
        """Return the node whose storage `node` looks at."""
        while node in self._root:
            node = self._root[node]
        return node

    def allocated(self, node: Node) -> int:
        """Return the bytes that `node` allocates: none if it writes over an input."""
        return self._bytes.get(node, 0)

    def peak(self) -> int:
        """Return the largest sum of bytes alive at once."""
        return max(map(self._alive, set(self._birth.values())), default=0)

    def _alive(self, moment: int) -> int:
        living = (n for n in self._bytes if self._birth[n] <= moment <= self._death[n])
        return sum(self._bytes[node] for node in living)

    def _place(self, node: Node, index: int) -> None:
        size = FLOAT32 * elements(node)
        if node.name in self._inputs:
            self._bytes[node], self._birth[node] = size, 0
        elif node.op == "call_function":
            spare = self._spare(node, size, index)
            if spare is None:
                self._bytes[node], self._birth[node] = size, index
            else:
                self._root[node] = spare
                self._death[spare] = self._death[node]

    def _spare(self, node: Node, size: int, index: int) -> Node | None:
        """Return the storage that `node` may write over."""
        roots = map(self.root, node.all_input_nodes if kind_of(node) in IN_PLACE else ())
        return next(
            (
                root
                for root in roots
                if self.allocated(root) == size
                and self._death[root] == index
                and root.name not in self._inputs
            ),
            None,
        )
