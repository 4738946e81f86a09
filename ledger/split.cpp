#include "ledger/split.hpp"

#include <algorithm>

namespace ovation::ledger {

std::int64_t base_of(std::int64_t price, std::int64_t bonus, const split_rule& rule) {
    const std::int64_t paid = price - bonus;
    return rule.gross ? paid : paid - paid * rule.vat_bp / (basis_points + rule.vat_bp);
}

split_legs split(std::int64_t price, std::int64_t bonus, const split_rule& rule) {
    const std::int64_t paid = price - bonus;
    split_legs out;
    out.vat = paid * rule.vat_bp / (basis_points + rule.vat_bp);
    const std::int64_t base = base_of(price, bonus, rule);

    struct share {
        int bp;
        std::int64_t* leg;
        std::int64_t remainder = 0;
    };
    std::array<share, 5> shares{{{rule.rights_bp, &out.rights}, {rule.singer_bp, &out.singer}, {rule.agent_bp, &out.agent},
                                 {rule.venue_bp, &out.venue}, {rule.platform_bp, &out.platform}}};
    std::int64_t left = base;
    for (auto& s : shares) {
        // base × bp / 10 000 in two parts: whole, it may pass 2^63 for prices above 9 × 10^14 micros.
        const std::int64_t rest = base % basis_points * s.bp;
        *s.leg = base / basis_points * s.bp + rest / basis_points;
        s.remainder = rest % basis_points;
        left -= *s.leg;
    }
    for (; left > 0; --left) {
        // The first of the largest remainders; the order of `shares` settles ties.
        auto* next = std::ranges::max_element(shares, {}, &share::remainder);
        ++*next->leg;
        next->remainder = -1;
    }

    if (rule.gross) out.platform -= out.vat;
    const std::int64_t bonus_singer = bonus * rule.bonus_singer_bp / basis_points;
    out.singer += bonus_singer;
    out.promo = bonus - bonus_singer;
    return out;
}

namespace {

using preset_body = result<split_rule> (*)(int agent_bp, bool has_agent, bool licensed_song);

result<split_rule> ovation_default(int agent_bp, bool has_agent, bool licensed_song) {
    split_rule r;
    r.rights_bp = licensed_song ? 500 : 0;
    const int unused_rights = 500 - r.rights_bp;
    if (has_agent) {
        // Above 1 000 the rate comes out of the singer's share, below it the rest goes to the singer.
        r.agent_bp = agent_bp;
        r.singer_bp = 5'000 + 1'000 - agent_bp + unused_rights;
        r.platform_bp = 3'500;
    } else {
        r.singer_bp = 5'500 + unused_rights;
        r.platform_bp = 4'000;
    }
    return r;
}
result<split_rule> agent_from_platform(int agent_bp, bool has_agent, bool) {
    split_rule r;
    r.singer_bp = 5'000;
    r.agent_bp = has_agent ? agent_bp * 5'000 / basis_points : 0;  // the rate applies to the platform's part
    r.platform_bp = 5'000 - r.agent_bp;
    return r;
}
result<split_rule> agent_from_creator(int agent_bp, bool has_agent, bool) {
    split_rule r;
    r.gross = true;
    r.agent_bp = has_agent ? agent_bp : 0;
    if (r.agent_bp > 1'500) return precondition("rate_out_of_bounds", "agent_bp: with agent-from-creator the singer keeps 3500 to 5000, so the agent's rate is at most 1500.");
    r.singer_bp = 5'000 - r.agent_bp;
    r.platform_bp = 5'000;
    return r;
}
result<split_rule> half(int, bool, bool) {
    split_rule r;
    r.gross = true;
    r.singer_bp = 5'000;
    r.platform_bp = 5'000;
    return r;
}
result<split_rule> seventy(int, bool, bool) {
    split_rule r;
    r.singer_bp = 7'000;
    r.platform_bp = 3'000;
    return r;
}

struct named {
    const char* name;
    preset_body body;
};
constexpr std::array<named, 5> presets{{{"ovation-default", ovation_default}, {"agent-from-platform", agent_from_platform},
                                        {"agent-from-creator", agent_from_creator}, {"half", half}, {"seventy", seventy}}};
}  // namespace

const std::vector<std::string>& preset_names() {
    static const std::vector<std::string> names = [] {
        std::vector<std::string> out;
        for (const auto& p : presets) out.emplace_back(p.name);
        return out;
    }();
    return names;
}

result<split_rule> resolve(const split_question& q) {
    policy decided{"preset", 0, q.preset, std::nullopt};
    std::optional<int> agent_bp;
    bool has_preset = false;
    bool first = true;
    for (const auto* level : {&q.event, &q.contract, &q.channel}) {
        if (!*level) continue;
        // The highest level that speaks is the source; a level without a preset of its own leaves that to the next.
        if (first) {
            decided.source = (*level)->source;
            decided.source_id = (*level)->source_id;
            first = false;
        }
        if (!has_preset && !(*level)->preset.empty()) {
            decided.preset = (*level)->preset;
            has_preset = true;
        }
        if (!agent_bp) agent_bp = (*level)->agent_bp;
    }
    const auto* found = std::find_if(presets.begin(), presets.end(), [&](const named& n) { return decided.preset == n.name; });
    if (found == presets.end()) return invalid("preset", "there is no split preset \"" + decided.preset + "\".");
    if (agent_bp && (*agent_bp < 0 || *agent_bp > agent_rate_max_bp)) return invalid("agent_bp", "an agent's rate lies between 0 and 3000 basis points.");
    auto rule = found->body(agent_bp.value_or(0), agent_bp.has_value(), q.licensed_song);
    if (!rule) return rule.error();
    rule->preset = decided.preset;
    rule->source = decided.source;
    rule->source_id = decided.source_id;
    rule->vat_bp = q.vat_bp;
    return rule;
}

}  // namespace ovation::ledger
