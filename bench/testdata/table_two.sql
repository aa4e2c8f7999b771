CREATE TABLE IF NOT EXISTS llama_bench (
  build_commit TEXT,
  build_number INTEGER,
  cpu_info TEXT,
  gpu_info TEXT,
  backends TEXT,
  model_filename TEXT,
  model_type TEXT,
  model_size INTEGER,
  model_n_params INTEGER,
  n_batch INTEGER,
  n_ubatch INTEGER,
  n_threads INTEGER,
  type_k TEXT,
  type_v TEXT,
  n_gpu_layers INTEGER,
  devices TEXT,
  embeddings INTEGER,
  n_prompt INTEGER,
  n_gen INTEGER,
  n_depth INTEGER,
  test_time TEXT,
  avg_ns INTEGER,
  stddev_ns INTEGER,
  avg_ts REAL,
  stddev_ts REAL
);

INSERT INTO llama_bench (build_commit, build_number, cpu_info, gpu_info, backends, model_filename, model_type, model_size, model_n_params, n_batch, n_ubatch, n_threads, type_k, type_v, n_gpu_layers, devices, embeddings, n_prompt, n_gen, n_depth, test_time, avg_ns, stddev_ns, avg_ts, stddev_ts) VALUES ('0123abcd', 0, 'Some CPU @ 3.00GHz', '', 'CPU', 'models/a.gguf', 'llama 135M Q4_1', 96571392, 134515008, 512, 512, 2, 'f16', 'f16', 0, 'cpu', 0, 512, 0, 0, '2026-11-22T14:00:00Z', 2500000000, 1000000, 204.800000, 0.081900);
INSERT INTO llama_bench (build_commit, build_number, cpu_info, gpu_info, backends, model_filename, model_type, model_size, model_n_params, n_batch, n_ubatch, n_threads, type_k, type_v, n_gpu_layers, devices, embeddings, n_prompt, n_gen, n_depth, test_time, avg_ns, stddev_ns, avg_ts, stddev_ts) VALUES ('0123abcd', 0, 'A "fast", one', '', 'CPU', 'models/it''s, "quoted".gguf', 'gemma3 12B Q4_K - Medium', 7300000000, 12187325040, 32, 512, 2, 'f16', 'f16', 0, 'cpu', 0, 8, 4, 1024, '2026-11-22T14:00:00Z', 2500000000, 1000000, 204.800000, 0.081900);
