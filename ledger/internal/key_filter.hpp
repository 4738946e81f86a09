// A Bloom filter in blocks of one cache line: whether a leaf of the journal may hold a gift's key. 24 bits a key, 7 probes:
// about one of 5 000 strange keys is asked for in vain.
#pragma once
#include <array>
#include <cstdlib>
#include <memory>
#include <new>

#include "base/uuid.hpp"

namespace ovation::ledger {

class key_filter {
public:
    // The pages come as they are used.
    explicit key_filter(std::size_t keys) : blocks_(keys * 24 / 512 + 1), bits_(static_cast<block*>(std::calloc(blocks_, sizeof(block))), &std::free) {
        if (!bits_) throw std::bad_alloc();
    }
    void add(const uuid& key) {
        auto [at, probes] = place(key);
        for (int i = 0; i < 7; ++i, probes >>= 9) (*at)[probes >> 6 & 7] |= std::uint64_t{1} << (probes & 63);
    }
    // Soon asked for: its line is on the way from memory meanwhile.
    void prefetch(const uuid& key) const { __builtin_prefetch(place(key).first); }
    [[nodiscard]] bool maybe(const uuid& key) const {
        auto [at, probes] = place(key);
        for (int i = 0; i < 7; ++i, probes >>= 9)
            if (((*at)[probes >> 6 & 7] >> (probes & 63) & 1) == 0) return false;
        return true;
    }

private:
    using block = std::array<std::uint64_t, 8>;
    [[nodiscard]] std::pair<block*, std::uint64_t> place(const uuid& key) const {
        std::uint64_t high = 0, low = 0;
        for (std::size_t i = 0; i < 8; ++i) {
            high = high << 8 | key.bytes[i];
            low = low << 8 | key.bytes[i + 8];
        }
        const auto mixed = mix(low ^ mix(high));
        return {bits_.get() + static_cast<std::size_t>(static_cast<unsigned __int128>(mixed) * blocks_ >> 64), mix(mixed ^ 0x9e3779b97f4a7c15U)};
    }
    static std::uint64_t mix(std::uint64_t x) {  // the finaliser of SplitMix64
        x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9U;
        x = (x ^ x >> 27) * 0x94d049bb133111ebU;
        return x ^ x >> 31;
    }
    std::size_t blocks_;
    std::unique_ptr<block, void (*)(void*)> bits_;
};

}  // namespace ovation::ledger
