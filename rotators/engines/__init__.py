"""One module or package per database engine; ``base`` is the contract they fulfil."""
