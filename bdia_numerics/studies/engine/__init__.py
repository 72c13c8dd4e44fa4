"""How a study is run: cell by cell in any processes, each result kept in a journal, so that a run that was killed goes on."""
