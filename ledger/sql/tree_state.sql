select h.tree_seq, h.seq, s.seq, s.frontier, h.tree_root from ledger.head h, ledger.tree_state s
