with gone as (delete from gifts.board_bucket) update gifts.board_cursor set seq = 0
