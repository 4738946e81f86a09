#include "songs/lrc.hpp"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <charconv>

#include "base/text.hpp"
#include "songs/encoding.hpp"
#include "songs/in_order.hpp"

namespace ovation::songs {
namespace {
constexpr std::size_t lyrics_bytes_max = 200'000;
constexpr std::size_t lyrics_lines_max = 5'000;
constexpr std::int64_t time_ms_max = 24LL * 3600 * 1000;
constexpr std::int64_t last_line_ms = 5'000;  // how long the last line stands

bool digit(char c) { return c >= '0' && c <= '9'; }

// mm:ss, mm:ss.x, .xx, .xxx, mm:ss:xx; the whole text.
std::optional<std::int64_t> time_of(std::string_view s) {
    std::int64_t minutes = 0, seconds = 0;
    const auto number = [&](std::size_t digits_max) -> std::optional<std::int64_t> {
        std::size_t n = 0;
        while (n < s.size() && n < digits_max && digit(s[n])) ++n;
        if (n == 0) return std::nullopt;
        std::int64_t out = 0;
        std::from_chars(s.data(), s.data() + n, out);
        s.remove_prefix(n);
        return out;
    };
    const auto m = number(4);
    if (!m || s.empty() || s.front() != ':') return std::nullopt;
    s.remove_prefix(1);
    const auto sec = number(2);
    if (!sec || *sec > 59) return std::nullopt;
    minutes = *m;
    seconds = *sec;
    std::int64_t ms = 0;
    if (!s.empty()) {
        if (s.front() != '.' && s.front() != ':' && s.front() != ',') return std::nullopt;
        s.remove_prefix(1);
        const auto digits = s.size();
        const auto fraction = number(3);
        if (!fraction || !s.empty()) return std::nullopt;
        ms = *fraction * (digits == 1 ? 100 : digits == 2 ? 10 : 1);
    }
    const auto out = (minutes * 60 + seconds) * 1000 + ms;
    return out <= time_ms_max ? std::optional(out) : std::nullopt;
}

// A bracketed piece at the begin of `s`: its inside; `s` moves behind it.
std::optional<std::string_view> take_bracket(std::string_view& s, char open, char close) {
    if (s.empty() || s.front() != open) return std::nullopt;
    const auto end = s.find(close);
    if (end == std::string_view::npos) return std::nullopt;
    const auto inside = s.substr(1, end - 1);
    s.remove_prefix(end + 1);
    return inside;
}

struct piece {
    std::optional<std::int64_t> at;
    std::string_view text;
};
// Cuts a line at its word times, <…> or […]; what is no time stays text.
std::vector<piece> cut(std::string_view s) {
    std::vector<piece> out{{std::nullopt, s.substr(0, 0)}};
    std::size_t begin = 0, at = 0;
    while (at < s.size()) {
        const char open = s[at];
        if (open == '<' || open == '[') {
            auto rest = s.substr(at);
            const auto inside = take_bracket(rest, open, open == '<' ? '>' : ']');
            const auto time = inside ? time_of(*inside) : std::nullopt;
            if (time) {
                out.back().text = s.substr(begin, at - begin);
                begin = at = s.size() - rest.size();
                out.push_back({time, {}});
                continue;
            }
        }
        ++at;
    }
    out.back().text = s.substr(begin);
    return out;
}
std::string clock_text(std::int64_t ms) { return fmt::format("{:02}:{:02}.{:03}", ms / 60'000, ms / 1000 % 60, ms % 1000); }
}  // namespace

std::string lrc_song::tag(std::string_view key) const {
    const auto at = std::ranges::find(tags, key, &std::pair<std::string, std::string>::first);
    return at == tags.end() ? std::string() : at->second;
}

result<lrc_song> read_lrc(std::string_view bytes, std::string_view encoding) {
    if (bytes.empty() || bytes.size() > lyrics_bytes_max) return invalid("file", "lyrics have 1 byte to 200 kB.");
    auto text = decode_song_text(bytes, encoding);
    if (!text) return text.error();
    lrc_song out;
    out.encoding = text->encoding;
    out.encoding_guessed = text->guessed;
    std::int64_t offset = 0;
    int number = 0;
    std::string_view rest = text->utf8;
    const auto deviates = [&](const char* code, std::string what) { out.deviations.push_back({number, code, std::move(what)}); };
    if (text->guessed) deviates("encoding_guessed", "The file is not UTF-8; it is read as " + text->encoding + ".");
    while (!rest.empty()) {
        ++number;
        const auto end = rest.find_first_of("\r\n");
        auto row = text::trim(rest.substr(0, end));
        rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + (rest.substr(end).starts_with("\r\n") ? 2 : 1));
        if (row.empty()) continue;
        std::vector<std::int64_t> times;
        bool tag_line = false;
        for (auto look = row; ; row = look) {
            const auto inside = take_bracket(look, '[', ']');
            if (!inside) break;
            if (const auto t = time_of(*inside)) {
                times.push_back(*t);
                look = look.substr(std::min(look.find_first_not_of(" \t"), look.size()));
                continue;
            }
            const auto colon = inside->find(':');
            if (!times.empty() || colon == std::string_view::npos || colon == 0 || digit(inside->front())) break;
            std::string key(inside->substr(0, colon));
            std::ranges::transform(key, key.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
            const std::string value(text::trim(inside->substr(colon + 1)));
            tag_line = true;
            if (value.empty()) continue;
            if (key == "offset") {
                auto digits = std::string_view(value);
                if (digits.starts_with('+')) digits.remove_prefix(1);
                std::int64_t v = 0;
                const auto [stop, bad] = std::from_chars(digits.data(), digits.data() + digits.size(), v);
                if (bad != std::errc{} || stop != digits.data() + digits.size() || std::abs(v) > 600'000) deviates("offset_unknown", "An offset is a whole number of milliseconds; it counts for nothing.");
                else offset = v;
            } else if (const auto known = std::ranges::find(out.tags, key, &std::pair<std::string, std::string>::first); known != out.tags.end()) {
                known->second = value;
                deviates("tag_repeated", "[" + key + ":] stands twice; the last one counts.");
            } else {
                out.tags.emplace_back(key, value);
            }
        }
        if (times.empty()) {
            if (!tag_line) deviates("junk_line", "This line has no time and counts for nothing.");
            continue;
        }
        if (times.size() > 1 && !std::ranges::is_sorted(times)) deviates("times_unsorted", "The times of a repeated line stand out of order.");
        lrc_line line;
        if (row.size() >= 2 && row[1] == ':' && (row[0] == 'F' || row[0] == 'M' || row[0] == 'D')) {
            line.voice = row[0] == 'F' ? 1 : row[0] == 'M' ? 2 : both_voices;
            row = text::trim(row.substr(2));
        }
        auto pieces = cut(row);
        bool words_timed = false;
        if (pieces.size() > 1) {
            bool ordered = true;
            std::int64_t before = times.front();
            for (std::size_t i = 1; i < pieces.size(); ++i) {
                ordered = ordered && *pieces[i].at >= before;
                before = *pieces[i].at;
            }
            if (!ordered || times.size() > 1) {
                deviates(ordered ? "word_times_on_repeated_line" : "word_times_unsorted", "The words' times cannot be kept; the line keeps its own.");
                std::string plain;
                for (const auto& p : pieces) plain += p.text;
                // What is left may have come together to a time again.
                for (auto more = cut(plain); more.size() > 1; more = cut(plain)) {
                    std::string joined;
                    for (const auto& p : more) joined += p.text;
                    plain = std::move(joined);
                }
                if (const auto words = text::trim(plain); !words.empty()) line.words.push_back({0, std::string(words)});
            } else {
                out.enhanced = words_timed = true;
                if (!text::trim(pieces.front().text).empty()) line.words.push_back({times.front(), std::string(pieces.front().text)});
                for (std::size_t i = 1; i < pieces.size(); ++i) {
                    if (i + 1 == pieces.size() && text::trim(pieces[i].text).empty()) line.end_ms = *pieces[i].at - offset;
                    else line.words.push_back({*pieces[i].at - offset, std::string(pieces[i].text)});
                }
                // Blanks are separators only: one at the end of a word, none at the line's begin.
                for (auto& w : line.words) {
                    const bool gap = w.text.ends_with(' ') || w.text.ends_with('\t');
                    w.text = std::string(text::trim(w.text)) + (gap ? " " : "");
                }
                std::erase_if(line.words, [](const lrc_word& w) { return text::trim(w.text).empty(); });
                if (!line.words.empty() && line.words.back().text.ends_with(' ')) line.words.back().text.pop_back();
                if (!text::trim(pieces.front().text).empty() && !line.words.empty()) line.words.front().start_ms -= offset;
            }
        } else if (!row.empty()) {
            line.words.push_back({0, std::string(row)});
        }
        for (const auto t : times) {
            auto one = line;
            one.start_ms = t - offset;
            if (!words_timed && !one.words.empty()) one.words.front().start_ms = one.start_ms;
            out.lines.push_back(std::move(one));
        }
        if (out.lines.size() > lyrics_lines_max) return invalid("line " + std::to_string(number), "more than 5000 lines.");
    }
    if (out.lines.empty()) return invalid("file", "has no line with a time.");
    if (!std::ranges::is_sorted(out.lines, {}, &lrc_line::start_ms)) {
        number = 0;
        deviates("lines_unsorted", "The lines stand out of order; they are sorted by time.");
        put_in_order(out.lines, [](const lrc_line& l) { return l.start_ms; });
    }
    return out;
}

std::vector<v1::LyricLine> lrc_song::lyrics() const {
    std::vector<v1::LyricLine> out;
    for (std::size_t i = 0; i < lines.size(); ++i) {
        const auto& line = lines[i];
        if (line.words.empty()) continue;
        const auto next = i + 1 < lines.size() ? lines[i + 1].start_ms : line.start_ms + last_line_ms;
        const auto end = std::max(line.end_ms.value_or(next), line.words.back().start_ms);
        auto& made = out.emplace_back();
        made.set_voice(line.voice);
        made.set_start(line.start_ms * samples_per_ms);
        made.set_end(end * samples_per_ms);
        for (std::size_t k = 0; k < line.words.size(); ++k) {
            auto& s = *made.add_syllables();
            const auto until = k + 1 < line.words.size() ? line.words[k + 1].start_ms : end;
            s.set_start(line.words[k].start_ms * samples_per_ms);
            s.set_length((until - line.words[k].start_ms) * samples_per_ms);
            s.set_text(line.words[k].text);
            s.set_kind("L");  // words without a pitch
        }
    }
    return out;
}

std::string write_lrc(const lrc_song& song) {
    std::string out;
    for (const auto& [key, value] : song.tags) out += fmt::format("[{}:{}]\n", key, value);
    // A line before the song's begin has no way to be written but with an offset for all.
    const auto first = song.lines.front().start_ms;
    const auto shift = first < 0 ? -first : 0;
    if (shift > 0) out += fmt::format("[offset:{}]\n", shift);
    for (const auto& line : song.lines) {
        out += '[' + clock_text(line.start_ms + shift) + ']';
        const bool looks_named = !line.words.empty() && line.words.front().text.size() > 1 && line.words.front().text[1] == ':';
        if (line.voice != both_voices || looks_named) out += line.voice == 1 ? "F:" : line.voice == 2 ? "M:" : "D:";
        const bool timed = line.end_ms || line.words.size() > 1 || (line.words.size() == 1 && line.words.front().start_ms != line.start_ms);
        for (const auto& w : line.words) out += (timed ? '<' + clock_text(w.start_ms + shift) + '>' : std::string()) + w.text;
        if (line.end_ms) out += '<' + clock_text(*line.end_ms + shift) + '>';
        out += '\n';
    }
    return out;
}

}  // namespace ovation::songs
