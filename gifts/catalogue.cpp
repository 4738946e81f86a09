#include "gifts/catalogue.hpp"

#include <algorithm>

#include "base/limits.hpp"
#include "gifts/sql.hpp"

namespace ovation::gifts {

awaitable<result<std::shared_ptr<const catalogue>>> catalogue::load(pg::pool& db) {
    OVATION_CO_TRY(auto r, co_await db.query(sql::list_gifts, {}));
    auto out = std::make_shared<catalogue>();
    out->listing_.set_send_cap_coins(limits::send_cap_coins);
    out->listing_.set_hold_above_coins(limits::hold_above_coins);
    // Ordered by gift and version: the last active one of each gift holds.
    for (int i = 0; i < r.size(); ++i) {
        const priced_gift one{gift_id(r.number(i, 0)), r.number(i, 1), static_cast<int>(r.number(i, 2)), r.number(i, 3), r.text(i, 8) == "star" ? reach::channel : r.text(i, 8) == "monument" ? reach::site : reach::room};
        out->all_.push_back(one);
        if (!r.boolean(i, 4)) continue;
        const bool newer = out->current_.contains(one.gift);
        out->current_[one.gift] = out->all_.size() - 1;
        auto& listed = newer ? *out->listing_.mutable_gifts(out->listing_.gifts_size() - 1) : *out->listing_.add_gifts();
        listed.set_id(one.gift.value);
        listed.set_code(r.string(i, 5));
        listed.set_name_zh(r.string(i, 6));
        listed.set_name_en(r.string(i, 7));
        listed.set_tier(r.string(i, 8));
        listed.set_price_coins(one.price_coins);
        listed.set_price_version(one.version);
        listed.clear_quantities();
        for (const int q : quantities)
            if (q * one.price_coins <= limits::send_cap_coins && (one.price_coins > 0 || q == 1)) listed.add_quantities(q);
    }
    std::ranges::sort(*out->listing_.mutable_gifts(), {}, [](const v1::Gift& g) { return std::pair(g.price_coins(), g.id()); });
    co_return std::shared_ptr<const catalogue>(std::move(out));
}

const priced_gift* catalogue::current(gift_id gift) const {
    const auto at = current_.find(gift);
    return at == current_.end() ? nullptr : &all_[at->second];
}
const priced_gift* catalogue::version(gift_id gift, int version) const {
    const auto at = std::ranges::find_if(all_, [&](const priced_gift& g) { return g.gift == gift && g.version == version; });
    return at == all_.end() ? nullptr : &*at;
}
const priced_gift* catalogue::item(std::int64_t item) const {
    const auto at = std::ranges::find(all_, item, &priced_gift::item);
    return at == all_.end() ? nullptr : &*at;
}

}  // namespace ovation::gifts
