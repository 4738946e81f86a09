select seq, writer_epoch from ledger.head
