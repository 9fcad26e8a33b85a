"""Cases in, rulings in force out: the register that reviewers, the court's API and publication share."""
