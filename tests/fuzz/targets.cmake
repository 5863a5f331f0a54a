# One line a parser: assay_fuzz_target(name LIBS ...).
assay_fuzz_target(path LIBS server-http)
assay_fuzz_target(basic LIBS server-http)
assay_fuzz_target(body LIBS server-http)
