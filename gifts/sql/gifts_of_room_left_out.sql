-- Whether gifts_of_room_since leaves something out for its age.
select exists (select from ledger.given where room = $1 and seq > $2 and at <= now() - interval '10 minutes')
