// What the 32 lanes of a warp do together. Lanes are numbered through the block, x fastest.
#pragma once
#include <cstring>
#include <type_traits>

#include "fibers.h"

namespace cuda_cpu {

constexpr std::size_t WIDEST = 64;  // bytes that a lane brings

// One meeting of lanes: who has brought what. It is free again when all have taken what they need.
struct Meeting {
    unsigned lanes = 0, arrived = 0, left = 0;
    const char* name = "";
    alignas(16) unsigned char brought[32][WIDEST];
};
inline Meeting meetings[MOST_THREADS / 32][64];

inline unsigned lane() { return block.current % 32; }
inline unsigned warp_size() {
    const unsigned first = block.current - lane(), rest = block.count - first;
    return rest < 32 ? rest : 32;
}
inline void begin_warps() {
    for (unsigned w = 0; w < (block.count + 31) / 32; ++w)
        for (Meeting& meeting : meetings[w]) meeting.left = meeting.arrived = 0;
}

inline Meeting& meeting_of(const char* name, unsigned lanes) {
    Meeting* free = nullptr;
    for (Meeting& meeting : meetings[block.current / 32]) {
        const bool open = meeting.arrived != 0;
        if (open && meeting.lanes == lanes && meeting.name == name) return meeting;
        if (!free && !open && !meeting.left) free = &meeting;
    }
    free->lanes = lanes;
    free->name = name;
    std::memset(free->brought, 255, sizeof free->brought);
    return *free;
}

// Meet the lanes of `mask`, each of which brings `mine`; the last one to come calls `finish`. Returns what `take` makes
// of the meeting.
template <class T, class Finish, class Take>
inline auto meet(const char* name, int line, unsigned mask, const T& mine, Finish finish, Take take) {
    static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= WIDEST);
    if (!(mask >> lane() & 1)) fail("lane %u calls %s in line %d with mask %#x, which lacks it.", lane(), name, line, mask);
    const unsigned lanes = mask & unsigned((1ull << warp_size()) - 1);
    Meeting& meeting = meeting_of(name, lanes);
    std::memcpy(meeting.brought[lane()], &mine, sizeof mine);
    meeting.arrived |= 1u << lane();
    if (meeting.arrived != lanes) {
        wait(name, line);
    } else {
        finish(meeting);
        meeting.left = lanes;
        meeting.arrived = 0;
        const unsigned first = block.current - lane();
        for (unsigned i = 0; i < warp_size(); ++i)
            if (lanes >> i & 1) block.threads[first + i].waiting = false;
    }
    meeting.left &= ~(1u << lane());
    return take(meeting);
}
inline void nothing(Meeting&) {}

template <class T>
inline T brought(const Meeting& meeting, unsigned from) {
    T value;
    std::memcpy(&value, meeting.brought[from], sizeof value);
    return value;
}

// `from` is the lane to read of; a lane that brings nothing gives bytes 255.
template <class T>
inline T shuffle(const char* name, int line, unsigned mask, T value, unsigned from) {
    return meet(name, line, mask, value, nothing, [&](const Meeting& m) { return brought<T>(m, from); });
}
template <class F>
inline auto vote(const char* name, int line, unsigned mask, int holds, F count) {
    return meet(name, line, mask, holds != 0, nothing, [&](const Meeting& m) {
        unsigned ballot = 0;
        for (unsigned i = 0; i < 32; ++i) ballot |= unsigned((m.lanes >> i & 1) && m.brought[i][0]) << i;
        return count(ballot, m.lanes);
    });
}

}  // namespace cuda_cpu

template <class T>
inline T __shfl_sync(unsigned mask, T value, int lane, int width = 32, int line = __builtin_LINE()) {
    const unsigned me = cuda_cpu::lane(), from = (me & ~(width - 1)) + (unsigned(lane) & (width - 1));
    return cuda_cpu::shuffle("__shfl_sync", line, mask, value, from);
}
template <class T>
inline T __shfl_up_sync(unsigned mask, T value, unsigned by, int width = 32, int line = __builtin_LINE()) {
    const unsigned me = cuda_cpu::lane(), place = me & (width - 1);
    return cuda_cpu::shuffle("__shfl_up_sync", line, mask, value, place < by ? me : me - by);
}
template <class T>
inline T __shfl_down_sync(unsigned mask, T value, unsigned by, int width = 32, int line = __builtin_LINE()) {
    const unsigned me = cuda_cpu::lane(), place = me & (width - 1);
    return cuda_cpu::shuffle("__shfl_down_sync", line, mask, value, place + by < unsigned(width) ? me + by : me);
}
template <class T>
inline T __shfl_xor_sync(unsigned mask, T value, int with, int width = 32, int line = __builtin_LINE()) {
    const unsigned me = cuda_cpu::lane(), from = me ^ unsigned(with);
    const bool same = (from & ~(width - 1)) <= (me & ~(width - 1)) && from < 32;
    return cuda_cpu::shuffle("__shfl_xor_sync", line, mask, value, same ? from : me);
}
inline void __syncwarp(unsigned mask = ~0u, int line = __builtin_LINE()) {
    cuda_cpu::vote("__syncwarp", line, mask, 0, [](unsigned, unsigned) { return 0; });
}
inline unsigned __ballot_sync(unsigned mask, int holds, int line = __builtin_LINE()) {
    return cuda_cpu::vote("__ballot_sync", line, mask, holds, [](unsigned ballot, unsigned) { return ballot; });
}
inline int __any_sync(unsigned mask, int holds, int line = __builtin_LINE()) {
    return cuda_cpu::vote("__any_sync", line, mask, holds, [](unsigned ballot, unsigned) { return ballot != 0; });
}
inline int __all_sync(unsigned mask, int holds, int line = __builtin_LINE()) {
    return cuda_cpu::vote("__all_sync", line, mask, holds, [](unsigned ballot, unsigned all) { return ballot == all; });
}
inline unsigned __activemask() {
    unsigned active = 0;
    const unsigned first = cuda_cpu::block.current - cuda_cpu::lane();
    for (unsigned i = 0; i < cuda_cpu::warp_size(); ++i) active |= unsigned(!cuda_cpu::block.threads[first + i].done) << i;
    return active;
}
