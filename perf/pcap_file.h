/** @file pcap_file.h
 * Captures: reads a whole one into memory, writes one frame by frame. The classic format with times in nanoseconds, which
 * tcpdump, Wireshark and scapy read; both formats and byte orders are read. Threads: one at a time. */
#ifndef BL_PERF_PCAP_FILE_H
#define BL_PERF_PCAP_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "bounceline/error.h"

/** Frames of a capture. */
struct pcap_file {
    uint8_t *bytes; /**< owned */
    size_t n;
    uint32_t *offsets; /**< n + 1: of each frame; owned */
};

/** Frames longer than @p frame_max, or that were cut when they were captured, are refused. @return 0, BL_EIO, BL_ENOMEM,
 * or BL_EINVAL with the frame's number in @p detail. Free it with pcap_file_fini. */
int pcap_file_read(struct pcap_file *file, const char *path, size_t frame_max, struct bl_error_detail *detail);
void pcap_file_fini(struct pcap_file *file);

/** Opens a file and writes its header. @return NULL with errno. */
FILE *pcap_file_create(const char *path);

/** Appends a frame. @param time_ns since 1970. @return false with errno. */
bool pcap_file_write(FILE *file, uint64_t time_ns, const uint8_t *frame, size_t length);

#endif
