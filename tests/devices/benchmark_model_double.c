// Stands in for Google's benchmark_model, which is not to be had here: takes its options, reads the
// model's file, sleeps for an inference, and prints what the real one prints.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(int count, char **options) {
  const char *graph = NULL;
  int runs = 50, gpu = 0, nnapi = 0;
  for (int i = 1; i < count; i++) {
    if (!strncmp(options[i], "--graph=", 8)) graph = options[i] + 8;
    if (!strncmp(options[i], "--num_runs=", 11)) runs = atoi(options[i] + 11);
    if (!strcmp(options[i], "--use_gpu=true")) gpu = 1;
    if (!strcmp(options[i], "--use_nnapi=true")) nnapi = 1;
  }
  fprintf(stderr, "STARTING!\n");
  FILE *file = graph ? fopen(graph, "rb") : NULL;
  if (!file) {
    fprintf(stderr, "ERROR: Could not open '%s'.\nERROR: Failed to load model %s\n", graph, graph);
    return 1;
  }
  fclose(file);
  fprintf(stderr, "Graph: [%s]\nLoaded model %s\n", graph, graph);
  if (gpu)
    fprintf(stderr, "Explicitly applied GPU delegate, and the model graph will be completely "
                    "executed by the delegate.\n");
  if (nnapi) fprintf(stderr, "Though NNAPI delegate is explicitly applied, the model graph will not "
                             "be executed by the delegate.\n");
  fprintf(stderr, "count=5 first=9000 curr=4000 min=4000 max=9000 avg=5000 std=2000\n\n");
  usleep(3000 * runs);
  if (runs == 1)
    fprintf(stderr, "count=1 curr=3000\n\n");
  else
    fprintf(stderr, "count=%d first=4000 curr=3000 min=3000 max=4000 avg=%g std=10\n\n", runs,
            (4000 + 3000.0 * (runs - 1)) / runs);
  fprintf(stderr, "Inference timings in us: Init: 12345, First inference: 9000, "
                  "Warmup (avg): 5000, Inference (avg): 3000\n");
  fprintf(stderr, "Note: as the benchmark tool itself affects memory footprint, the following is "
                  "only APPROXIMATE to the actual memory footprint of the model at runtime. Take the "
                  "information at your discretion.\n"
                  "Memory footprint delta from the start of the tool (MB): init=1.5 overall=2.25\n");
  return 0;
}
