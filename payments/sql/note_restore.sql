select payments.note_restore($1, $2)
