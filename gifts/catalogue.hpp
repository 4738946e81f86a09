// The gift catalogue: versioned prices, read at start and when it changes. Immutable once loaded; cores share it.
#pragma once
#include <array>
#include <memory>
#include <unordered_map>
#include <vector>

#include "base/cores.hpp"
#include "ovation/v1/gift.pb.h"

namespace ovation::gifts {

inline constexpr std::array<int, 7> quantities{1, 10, 66, 99, 188, 520, 1314};

// Who sees it beside its own room: by the tier.
enum class reach { room, channel, site };

struct priced_gift {
    gift_id gift;
    std::int64_t item = 0;  // gift_version.id
    int version = 0;
    std::int64_t price_coins = 0;
    reach told_to = reach::room;
};

class catalogue {
public:
    static awaitable<result<std::shared_ptr<const catalogue>>> load(pg::pool& db);
    // The version that holds now; null: unknown or withdrawn.
    [[nodiscard]] const priced_gift* current(gift_id gift) const;
    // Any version, for replays of a key that was first sent under it.
    [[nodiscard]] const priced_gift* version(gift_id gift, int version) const;
    [[nodiscard]] const priced_gift* item(std::int64_t item) const;
    [[nodiscard]] const v1::ListGiftsResponse& listing() const { return listing_; }

private:
    std::vector<priced_gift> all_;
    std::unordered_map<gift_id, std::size_t> current_;
    v1::ListGiftsResponse listing_;
};

}  // namespace ovation::gifts
