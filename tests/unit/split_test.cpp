#include "tests/support/catch.hpp"
#include <random>

#include "ledger/split.hpp"

using namespace ovation::ledger;

namespace {
split_rule shares(int rights, int singer, int agent, int platform, int vat = 0, bool gross = false) {
    split_rule r;
    r.rights_bp = rights;
    r.singer_bp = singer;
    r.agent_bp = agent;
    r.platform_bp = platform;
    r.vat_bp = vat;
    r.gross = gross;
    return r;
}
std::int64_t sum(const split_legs& l) { return l.vat + l.rights + l.singer + l.agent + l.venue + l.platform + l.promo; }
}  // namespace

TEST_CASE("split: the vectors of the rules are exact") {
    CHECK(split(10'000, 0, shares(500, 5000, 1000, 3500)) == split_legs{0, 500, 5000, 1000, 0, 3500, 0});
    CHECK(split(10'000, 0, shares(500, 5000, 1000, 3500, 600)) == split_legs{566, 472, 4717, 943, 0, 3302, 0});
    CHECK(split(1'000'000, 0, shares(500, 5000, 1000, 3500, 600)) == split_legs{56'603, 47'170, 471'698, 94'340, 0, 330'189, 0});
    // 5 200 coins: one micro left, the agent before the platform on the tie.
    const auto fireworks = split(52'000'000, 0, shares(0, 5500, 1000, 3500, 600));
    CHECK(fireworks.vat == 2'943'396);
    CHECK(sum(fireworks) == 52'000'000);
    auto thirds = shares(3333, 3333, 3334, 0);
    CHECK(split(1, 0, thirds) == split_legs{0, 0, 0, 1, 0, 0, 0});
    CHECK(split(2, 0, thirds) == split_legs{0, 1, 0, 1, 0, 0, 0});
}

TEST_CASE("split: a gross base bears the VAT in the platform's part") {
    const auto l = split(10'000, 0, shares(0, 5000, 0, 5000, 600, true));
    CHECK(l == split_legs{566, 0, 5000, 0, 0, 4434, 0});
}

TEST_CASE("split: the bonus part returns to promo and bears neither VAT nor shares") {
    const auto l = split(20'000, 10'000, shares(500, 5000, 1000, 3500, 600));
    CHECK(l == split_legs{566, 472, 4717, 943, 0, 3302, 10'000});
}

TEST_CASE("split: every amount of every shipped table sums exactly, nothing is negative") {
    std::vector<split_rule> tables;
    for (const auto& preset : preset_names())
        for (const bool agent : {false, true})
            for (const bool licensed : {false, true}) {
                split_question q;
                q.preset = preset;
                q.licensed_song = licensed;
                if (agent) q.contract = policy{"contract", 1, "", 1000};
                auto r = resolve(q);
                REQUIRE(r);
                CHECK(r->rights_bp + r->singer_bp + r->agent_bp + r->venue_bp + r->platform_bp == basis_points);
                tables.push_back(*r);
            }
    std::int64_t bad = 0;
    for (const auto& t : tables)
        for (std::int64_t amount = 1; amount <= 1'000'000; amount += amount < 2'000 ? 1 : 977) {
            const auto l = split(amount, 0, t);
            // Below a few micros the VAT of a gross split may pass the platform's half; prices are whole coins.
            const bool negative = l.rights < 0 || l.singer < 0 || l.agent < 0 || (amount >= 10 && l.platform < 0);
            bad += sum(l) != amount || negative;
        }
    CHECK(bad == 0);
}

TEST_CASE("split: the default preset moves shares as the rules say") {
    split_question q;
    const auto of = [&](bool licensed, std::optional<int> agent) {
        q.licensed_song = licensed;
        q.contract = agent ? std::optional(policy{"contract", 7, "", *agent}) : std::nullopt;
        auto r = resolve(q);
        REQUIRE(r);
        return std::vector<int>{r->rights_bp, r->singer_bp, r->agent_bp, r->platform_bp};
    };
    CHECK(of(true, 1000) == std::vector<int>{500, 5000, 1000, 3500});
    CHECK(of(true, std::nullopt) == std::vector<int>{500, 5500, 0, 4000});
    CHECK(of(false, 1000) == std::vector<int>{0, 5500, 1000, 3500});
    CHECK(of(false, std::nullopt) == std::vector<int>{0, 6000, 0, 4000});
    CHECK(of(true, 3000) == std::vector<int>{500, 3000, 3000, 3500});
    CHECK(of(true, 400) == std::vector<int>{500, 5600, 400, 3500});
}

TEST_CASE("split: event before contract before channel before preset") {
    split_question q;
    CHECK(resolve(q)->source == "preset");
    q.channel = policy{"channel", 3, "seventy", std::nullopt};
    CHECK(resolve(q)->source == "channel");
    CHECK(resolve(q)->preset == "seventy");
    q.contract = policy{"contract", 5, "agent-from-platform", 2000};
    CHECK(resolve(q)->source == "contract");
    CHECK(resolve(q)->preset == "agent-from-platform");
    CHECK(resolve(q)->agent_bp == 1000);
    q.event = policy{"event", 9, "half", std::nullopt};
    CHECK(resolve(q)->source == "event");
    CHECK(resolve(q)->preset == "half");
}

TEST_CASE("split: an unknown preset and a rate out of bounds are refused by name") {
    split_question q;
    q.preset = "everything-to-me";
    CHECK(resolve(q).error().field == "preset");
    q.preset = "ovation-default";
    for (const int rate : {-1, 3001}) {
        q.contract = policy{"contract", 1, "", rate};
        CHECK(resolve(q).error().field == "agent_bp");
    }
    q.contract = policy{"contract", 1, "agent-from-creator", 1501};
    CHECK(resolve(q).error().reason == "rate_out_of_bounds");
}
