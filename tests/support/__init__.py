"""What tests are made with: servers, documents, ways to run parts of the engine, and the slow twins."""
