#pragma once

// What the lab's emulator knows of the IPv4 packets that it carries: which TCP connection one
// belongs to, how much of its payload it has, and what a host without that connection would answer.

#include <arpa/inet.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <tuple>

namespace lab {

// A TCP connection as both directions name it: the client's end first.
using flow_key = std::tuple<std::uint32_t, std::uint32_t, std::uint16_t, std::uint16_t>;

struct header {
    iphdr ip;
    std::optional<tcphdr> tcp;
    std::size_t payload = 0;
};

inline std::optional<header> parse(const std::uint8_t* data, std::size_t size) {
    header h{};
    if (size < sizeof h.ip) return {};
    std::memcpy(&h.ip, data, sizeof h.ip);
    const std::size_t ip_size = h.ip.ihl * 4u;
    if (h.ip.version != 4 || ip_size < sizeof h.ip || ip_size > size) return {};
    if (h.ip.protocol == IPPROTO_TCP && size >= ip_size + sizeof(tcphdr)) {
        h.tcp.emplace();
        std::memcpy(&*h.tcp, data + ip_size, sizeof(tcphdr));
        const std::size_t headers = ip_size + h.tcp->doff * 4u;
        h.payload = size > headers ? size - headers : 0;
    }
    return h;
}

inline flow_key key_of(const header& h, bool up) {
    const std::uint16_t from = h.tcp ? h.tcp->source : 0, to = h.tcp ? h.tcp->dest : 0;
    return up ? flow_key{h.ip.saddr, h.ip.daddr, from, to}
              : flow_key{h.ip.daddr, h.ip.saddr, to, from};
}

inline std::uint16_t checksum(const std::uint8_t* data, std::size_t size, std::uint32_t sum) {
    for (std::size_t i = 0; i + 1 < size; i += 2)
        sum += static_cast<std::uint32_t>(data[i] << 8 | data[i + 1]);
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return htons(static_cast<std::uint16_t>(~sum));
}

// The reset that a host without this connection would answer the packet with.
inline std::array<std::uint8_t, 40> reset_for(const header& h) {
    std::array<std::uint8_t, 40> out{};
    iphdr ip{};
    ip.version = 4;
    ip.ihl = 5;
    ip.tot_len = htons(40);
    ip.ttl = 64;
    ip.protocol = IPPROTO_TCP;
    ip.saddr = h.ip.daddr;
    ip.daddr = h.ip.saddr;
    tcphdr tcp{};
    tcp.source = h.tcp->dest;
    tcp.dest = h.tcp->source;
    tcp.doff = 5;
    tcp.rst = 1;
    if (h.tcp->ack) {
        tcp.seq = h.tcp->ack_seq;
    } else {
        tcp.ack = 1;
        tcp.ack_seq = htonl(ntohl(h.tcp->seq) + static_cast<std::uint32_t>(h.payload) + h.tcp->syn);
    }
    std::memcpy(out.data(), &ip, 20);
    ip.check = checksum(out.data(), 20, 0);
    std::memcpy(out.data() + 20, &tcp, 20);
    const std::uint32_t pseudo = (ntohl(ip.saddr) >> 16) + (ntohl(ip.saddr) & 0xffff) +
                                 (ntohl(ip.daddr) >> 16) + (ntohl(ip.daddr) & 0xffff) +
                                 IPPROTO_TCP + 20;
    tcp.check = checksum(out.data() + 20, 20, pseudo);
    std::memcpy(out.data(), &ip, 20);
    std::memcpy(out.data() + 20, &tcp, 20);
    return out;
}

}  // namespace lab
