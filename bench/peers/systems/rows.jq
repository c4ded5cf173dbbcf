# jq: the whole document, a line for each of the wallets' deals.
to_entries[]
| select(.value.Proposal.Client as $client | $ARGS.positional | index($client))
| .value.Proposal as $proposal
| .value.State as $state
| {
    deal_id: .key,
    client: $proposal.Client,
    provider: $proposal.Provider,
    label: $proposal.Label,
    piece_cid: ($proposal.PieceCID // {})["/"],
    piece_size: $proposal.PieceSize,
    verified: $proposal.VerifiedDeal,
    price: $proposal.StoragePricePerEpoch,
    provider_collateral: $proposal.ProviderCollateral,
    client_collateral: $proposal.ClientCollateral,
    start_epoch: $proposal.StartEpoch,
    end_epoch: $proposal.EndEpoch,
    sector_number: $state.SectorNumber,
    sector_start_epoch: $state.SectorStartEpoch,
    last_updated_epoch: $state.LastUpdatedEpoch,
    slash_epoch: $state.SlashEpoch
  }
