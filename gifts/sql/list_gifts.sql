select v.gift_id, v.id, v.version, v.price_coins, g.active, g.code, g.name_zh, g.name_en, g.tier
from gifts.gift_version v join gifts.gift g on g.id = v.gift_id where v.valid_from <= now() order by v.gift_id, v.version
