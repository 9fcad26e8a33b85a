"""The clerk: verdicts, reports and appeals in; cases on the docket, rulings on Kafka and better-informed scores out."""
