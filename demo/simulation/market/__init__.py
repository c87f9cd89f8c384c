"""What is simulated: listings on sale, buyers, rankings, and what people do."""
