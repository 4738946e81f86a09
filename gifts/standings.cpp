#include "gifts/standings.hpp"

#include <spdlog/fmt/fmt.h>

#include <charconv>

#include "base/crypto.hpp"

namespace ovation::gifts {
namespace {
constexpr const char* state_key = "ovation:boards";
constexpr std::int64_t exact_max = 9'007'199'254'740'991;  // 2^53 − 1
constexpr std::size_t rows_per_call = 4'000;
// A closed week or month is asked for no more; PostgreSQL keeps its days.
constexpr std::int64_t period_kept_s = 40LL * 24 * 3600;

// Adds rows when the sets stand where the caller thinks. ARGV: generation ("" = the current one), epoch, cursor, part, next
// cursor, next part, seconds to keep, then board, id, coins, sequence of each row.
constexpr const char* add_rows = R"(
local s = redis.call('HMGET', KEYS[1], 'generation', 'epoch', 'cursor', 'part')
if not s[1] or (ARGV[1] ~= '' and s[1] ~= ARGV[1]) or s[2] ~= ARGV[2] or s[3] ~= ARGV[3] or s[4] ~= ARGV[4] then return 0 end
for i = 8, #ARGV, 4 do
  local key = KEYS[1] .. ':' .. s[1] .. ':' .. ARGV[i]
  local old = redis.call('HGET', key .. ':m', ARGV[i + 1])
  local coins = 0
  if old then
    coins = tonumber(redis.call('ZSCORE', key, old)) or 0
    redis.call('ZREM', key, old)
  end
  local member = ARGV[i + 3] .. ARGV[i + 1]
  redis.call('ZADD', key, string.format('%.0f', coins + tonumber(ARGV[i + 2])), member)
  redis.call('HSET', key .. ':m', ARGV[i + 1], member)
  if string.sub(ARGV[i], -1) ~= 'a' then
    redis.call('EXPIRE', key, ARGV[7])
    redis.call('EXPIRE', key .. ':m', ARGV[7])
  end
end
redis.call('HSET', KEYS[1], 'cursor', ARGV[5], 'part', ARGV[6])
return 1)";

constexpr const char* top_rows = R"(
local s = redis.call('HMGET', KEYS[1], 'generation', 'cursor', 'part')
if not s[1] or tonumber(s[2]) < 0 or s[3] ~= '0' then return nil end
local key = KEYS[1] .. ':' .. s[1] .. ':' .. ARGV[1]
local mine = redis.call('HGET', key .. ':m', ARGV[3])
local rank, coins = '-1', '0'
if mine then
  rank = tostring(redis.call('ZREVRANK', key, mine))
  coins = redis.call('ZSCORE', key, mine)
end
return {s[2], rank, coins, redis.call('ZREVRANGE', key, 0, ARGV[2] - 1, 'WITHSCORES')})";

std::string inverted(std::int64_t n) { return fmt::format("{:016}", exact_max - n); }
std::int64_t number(std::string_view text) {
    std::int64_t out = 0;
    std::from_chars(text.data(), text.data() + text.size(), out);
    return out;
}
std::string_view text_of(const redisReply* r) { return {r->str, r->len}; }
}  // namespace

awaitable<result<std::int64_t>> standings::write(std::string generation, std::vector<standing>& rows, std::vector<std::string> head, std::vector<std::string> last) {
    // In parts: one call blocks Redis for a few milliseconds at most. A torn series leaves a part that nobody expects.
    std::int64_t part = 0;
    std::size_t from = 0;
    do {
        const auto until = std::min(rows.size(), from + rows_per_call);
        const bool ends = until == rows.size();
        std::vector<std::string> words{"EVAL", add_rows, "1", state_key, generation};
        words.insert(words.end(), head.begin(), head.end());
        words.push_back(std::to_string(part));
        words.push_back(ends ? last.front() : head.back());
        words.push_back(ends ? "0" : std::to_string(++part));
        words.push_back(std::to_string(period_kept_s));
        for (; from < until; ++from) {
            const auto& r = rows[from];
            words.insert(words.end(), {r.board, inverted(r.subject), std::to_string(r.coins), inverted(r.reached)});
        }
        OVATION_CO_TRY(auto answer, co_await store_.command(std::move(words)));
        if (answer->integer != 1) co_return 0;
    } while (from < rows.size());
    co_return 1;
}

awaitable<result<bool>> standings::apply(std::string epoch, std::int64_t from, std::int64_t to, std::vector<standing> rows) {
    OVATION_CO_TRY(const auto done, co_await write("", rows, {epoch, std::to_string(from)}, {std::to_string(to)}));
    co_return done == 1;
}

awaitable<result<void>> standings::refill(std::string epoch, std::int64_t cursor, std::vector<standing> rows) {
    OVATION_CO_CHECK(co_await forget());
    const auto generation = crypto::random_token().substr(0, 12);
    OVATION_CO_CHECK(co_await store_.command({"HSET", state_key, "generation", generation, "epoch", epoch, "cursor", "-1", "part", "0"}));
    OVATION_CO_TRY(const auto done, co_await write(generation, rows, {epoch, "-1"}, {std::to_string(cursor)}));
    if (done != 1) co_return unavailable("boards_refilled", "Another writer filled the boards at the same time.");
    co_return result<void>{};
}

awaitable<result<void>> standings::forget() {
    OVATION_CO_CHECK(co_await store_.command({"DEL", state_key}));
    std::string cursor = "0";
    do {
        OVATION_CO_TRY(auto found, co_await store_.command({"SCAN", cursor, "MATCH", std::string(state_key) + ":*", "COUNT", "1000"}));
        if (found->type != REDIS_REPLY_ARRAY || found->elements != 2) co_return unavailable("redis_lost", "Redis answered SCAN strangely.");
        cursor = text_of(found->element[0]);
        std::vector<std::string> words{"UNLINK"};
        for (std::size_t i = 0; i < found->element[1]->elements; ++i) words.emplace_back(text_of(found->element[1]->element[i]));
        if (words.size() > 1) OVATION_CO_CHECK(co_await store_.command(std::move(words)));
    } while (cursor != "0");
    co_return result<void>{};
}

awaitable<result<std::optional<standings::page>>> standings::top(std::string board, std::int64_t limit, user_id asker) {
    OVATION_CO_TRY(auto found, co_await store_.command({"EVAL", top_rows, "1", state_key, board, std::to_string(limit), inverted(asker.value)}));
    if (found->type != REDIS_REPLY_ARRAY || found->elements != 4) co_return std::optional<page>{};
    page out;
    out.cursor = number(text_of(found->element[0]));
    const auto* members = found->element[3];
    for (std::size_t i = 0; i + 1 < members->elements; i += 2) {
        const auto member = text_of(members->element[i]);
        standing s;
        s.reached = exact_max - number(member.substr(0, 16));
        s.subject = exact_max - number(member.substr(16));
        s.coins = number(text_of(members->element[i + 1]));
        s.rank = static_cast<std::int64_t>(i / 2 + 1);
        out.rows.push_back(std::move(s));
    }
    if (const auto rank = number(text_of(found->element[1])); rank >= 0) {
        standing mine;
        mine.subject = asker.value;
        mine.rank = rank + 1;
        mine.coins = number(text_of(found->element[2]));
        out.asker = std::move(mine);
    }
    co_return std::optional<page>(std::move(out));
}

}  // namespace ovation::gifts
