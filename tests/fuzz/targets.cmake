# One line a parser: assay_fuzz_target(name LIBS ...).
assay_fuzz_target(path LIBS server-http)
assay_fuzz_target(basic LIBS server-http)
assay_fuzz_target(body LIBS server-http)
assay_fuzz_target(bundle LIBS attestation)
assay_fuzz_target(quote LIBS attestation)
assay_fuzz_target(nonce LIBS attestation)
assay_fuzz_target(profile LIBS policy)
