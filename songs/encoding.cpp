#include "songs/encoding.hpp"

#include <unicode/translit.h>
#include <unicode/ucnv.h>
#include <unicode/unistr.h>

#include <algorithm>
#include <array>
#include <memory>
#include <optional>

#include "base/text.hpp"

namespace ovation::songs {
namespace {
struct known_encoding {
    std::string_view name;      // as files write it
    const char* converter;      // ICU's name
    std::string_view shown;
};
constexpr std::array<known_encoding, 12> encodings{{{"CP1250", "windows-1250", "CP1250"}, {"CP1252", "windows-1252", "CP1252"}, {"UTF8", "UTF-8", "UTF-8"}, {"UTF-8", "UTF-8", "UTF-8"},
    {"CP1251", "windows-1251", "CP1251"}, {"KOI8-R", "KOI8-R", "KOI8-R"}, {"CP865", "ibm-865", "CP865"}, {"GB18030", "GB18030", "GB18030"}, {"BIG5", "Big5", "BIG5"}, {"SHIFT_JIS", "Shift_JIS", "SHIFT_JIS"},
    {"UTF-16LE", "UTF-16LE", "UTF-16LE"}, {"UTF-16BE", "UTF-16BE", "UTF-16BE"}}};
// USDX writes only these; an operator may name any of the above.
constexpr std::size_t header_encodings = 4;

const known_encoding* find(std::string_view name, std::size_t among) {
    const auto wanted = text::upper(text::trim(name));
    for (std::size_t i = 0; i < among; ++i)
        if (encodings[i].name == wanted) return &encodings[i];
    return nullptr;
}

result<decoded> convert(std::string_view bytes, const known_encoding& from, bool guessed) {
    if (std::string_view(from.converter) == "UTF-8") {
        if (!text::characters(bytes)) return invalid("file", "is not UTF-8, which its header or version promises.");
        return decoded{std::string(bytes), "UTF-8", guessed};
    }
    UErrorCode failed = U_ZERO_ERROR;
    const std::unique_ptr<UConverter, void (*)(UConverter*)> converter(ucnv_open(from.converter, &failed), &ucnv_close);
    if (U_FAILURE(failed)) return internal_fault("this build of ICU has no converter for " + std::string(from.shown));
    const icu::UnicodeString wide(bytes.data(), static_cast<int32_t>(bytes.size()), converter.get(), failed);
    if (U_FAILURE(failed)) return invalid("file", "cannot be read as " + std::string(from.shown) + ".");
    decoded out{{}, std::string(from.shown), guessed};
    wide.toUTF8String(out.utf8);
    // A zero byte is no text in any of them.
    std::erase(out.utf8, '\0');
    return out;
}

// The value of a header in bytes of a yet unknown encoding (its name and what we look for are ASCII).
std::string raw_header(std::string_view bytes, std::string_view key) {
    std::size_t at = 0;
    while (at < bytes.size()) {
        const auto end = std::min(bytes.find_first_of("\r\n", at), bytes.size());
        const auto line = text::trim(bytes.substr(at, end - at));
        if (line.starts_with('#'))
            if (const auto colon = line.find(':'); colon != std::string_view::npos && text::upper(text::trim(line.substr(1, colon - 1))) == key) return std::string(text::trim(line.substr(colon + 1)));
        at = end + 1;
    }
    return {};
}

const icu::Transliterator* transliterator(const char* rules) {
    UErrorCode failed = U_ZERO_ERROR;
    return icu::Transliterator::createInstance(icu::UnicodeString::fromUTF8(rules), UTRANS_FORWARD, failed);
}
std::string through(const icu::Transliterator* by, std::string_view s) {
    auto wide = icu::UnicodeString::fromUTF8(icu::StringPiece(s.data(), static_cast<int32_t>(s.size())));
    if (by) by->transliterate(wide);
    std::string out;
    wide.toUTF8String(out);
    return out;
}
}  // namespace

result<decoded> decode_song_text(std::string_view bytes, std::string_view forced) {
    if (bytes.starts_with("\xef\xbb\xbf")) return convert(bytes.substr(3), encodings[2], false);
    if (bytes.starts_with("\xff\xfe")) return convert(bytes.substr(2), encodings[10], false);
    if (bytes.starts_with("\xfe\xff")) return convert(bytes.substr(2), encodings[11], false);
    if (!forced.empty()) {
        const auto* named = find(forced, encodings.size());
        if (!named) return invalid("encoding", "is none of UTF-8, CP1250, CP1251, CP1252, CP865, KOI8-R, GB18030, BIG5, SHIFT_JIS, UTF-16LE, UTF-16BE.");
        return convert(bytes, *named, false);
    }
    if (const auto version = raw_header(bytes, "VERSION"); !version.empty() && version[0] >= '1' && version[0] <= '9') return convert(bytes, encodings[2], false);
    if (const auto* named = find(raw_header(bytes, "ENCODING"), header_encodings)) return convert(bytes, *named, false);
    if (text::characters(bytes)) return decoded{std::string(bytes), "UTF-8", false};
    return convert(bytes, encodings[1], true);
}

std::string search_form(std::string_view query) {
    static const std::unique_ptr<const icu::Transliterator> plain(transliterator("NFD; [:Nonspacing Mark:] Remove; NFC; Lower"));
    return through(plain.get(), text::trim(query));
}

std::string search_text(std::string_view title, std::string_view artist) {
    static const std::unique_ptr<const icu::Transliterator> pinyin(transliterator("Han-Latin; NFD; [:Nonspacing Mark:] Remove; NFC; Lower"));
    std::string out;
    for (const auto part : {title, artist}) {
        const auto plain = search_form(part);
        const auto spoken = through(pinyin.get(), part);
        out += plain + ' ';
        if (spoken == plain) continue;
        std::string joined, initials;
        bool first = true;
        for (const char c : spoken) {
            if (c == ' ') first = true;
            else {
                joined += c;
                if (first && static_cast<unsigned char>(c) < 0x80) initials += c;
                first = false;
            }
        }
        out += spoken + ' ' + joined + ' ' + initials + ' ';
    }
    out.pop_back();
    return out;
}

}  // namespace ovation::songs
