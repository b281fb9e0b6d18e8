"""What people are told: records of the bus become short messages, few enough to be read, and go to messengers."""
