// Scans a text with Vectorscan, for `make bench ARGS="-only match -vectorscan PROGRAM"`. Not part of the product.
//
//   cc -O2 -o /tmp/vs tools/vectorscan/main.c -lhs        (Debian: libvectorscan-dev)
//
// Arguments: a file of words, one a line, and a file of text. For each line on standard input it scans the text once
// in documents of 16 KB and prints nanoseconds and hits.
#include <hs/hs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static char *slurp(const char *path, size_t *n) {
  FILE *f = fopen(path, "rb");
  if (!f) { perror(path); exit(1); }
  fseek(f, 0, SEEK_END);
  *n = ftell(f);
  rewind(f);
  char *p = malloc(*n + 1);
  if (fread(p, 1, *n, f) != *n) { perror(path); exit(1); }
  p[*n] = 0;
  fclose(f);
  return p;
}

static int hit(unsigned id, unsigned long long from, unsigned long long to, unsigned flags, void *ctx) {
  (void)id; (void)from; (void)to; (void)flags;
  ++*(unsigned long *)ctx;
  return 0;
}

int main(int argc, char **argv) {
  if (argc != 3) { fprintf(stderr, "usage: vs WORDS TEXT\n"); return 2; }
  size_t wn, tn;
  char *words = slurp(argv[1], &wn), *text = slurp(argv[2], &tn);
  size_t max = 0, n = 0;
  for (size_t i = 0; i < wn; i++) max += words[i] == '\n';
  const char **expr = calloc(max, sizeof *expr);
  size_t *len = calloc(max, sizeof *len);
  unsigned *flags = calloc(max, sizeof *flags), *ids = calloc(max, sizeof *ids);
  for (char *p = words; *p;) {
    char *e = strchr(p, '\n');
    if (!e) break;
    expr[n] = p; len[n] = e - p; ids[n] = n; n++;
    p = e + 1;
  }
  hs_database_t *db;
  hs_compile_error_t *err;
  if (hs_compile_lit_multi(expr, flags, ids, len, n, HS_MODE_BLOCK, NULL, &db, &err) != HS_SUCCESS) {
    fprintf(stderr, "%s\n", err->message);
    return 1;
  }
  hs_scratch_t *scratch = NULL;
  hs_alloc_scratch(db, &scratch);
  char line[64];
  while (fgets(line, sizeof line, stdin)) {
    unsigned long hits = 0;
    struct timespec a, b;
    clock_gettime(CLOCK_MONOTONIC, &a);
    for (size_t at = 0; at < tn; at += 16384)
      hs_scan(db, text + at, tn - at < 16384 ? tn - at : 16384, 0, scratch, hit, &hits);
    clock_gettime(CLOCK_MONOTONIC, &b);
    printf("%lld %lu\n", (b.tv_sec - a.tv_sec) * 1000000000LL + b.tv_nsec - a.tv_nsec, hits);
    fflush(stdout);
  }
  return 0;
}
