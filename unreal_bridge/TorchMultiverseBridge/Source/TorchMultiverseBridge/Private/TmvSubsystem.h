// The bridge in a game: feeds the core with what happens, and does what it commands. One for each game instance.
#pragma once

#include "Async/Future.h"
#include "Containers/Ticker.h"
#include "CoreMinimal.h"
#include "Subsystems/GameInstanceSubsystem.h"
#include "UObject/WeakObjectPtr.h"

#include <memory>

#include "TmvEncode.h"
#include "TmvLink.h"
#include "TmvRig.h"
#include "TmvStage.h"
#include "tmv/bridge.hpp"

#include "TmvSubsystem.generated.h"

UCLASS()
class UTmvSubsystem : public UGameInstanceSubsystem
{
	GENERATED_BODY()

public:
	virtual void Initialize(FSubsystemCollectionBase& Collection) override;
	virtual void Deinitialize() override;

private:
	/** What becomes of a Capture, one step a frame. */
	enum class EShot : uint8
	{
		None,
		Warming,   // frames into the temporal history, of the picture's own seed or samples
		Shifted,   // the characters stand where they were when the shutter opened
		Shooting,
		Reading,
		Encoding,
	};

	bool Tick(float DeltaSeconds);
	/** Spawns the rig and attaches the link in the world that is played; false while there is none. */
	bool EnterWorld();
	void Obey();
	void BeginCapture(const tmv::Command& Command);
	void Advance();
	void Deliver(const FTmvFiles& Files);
	void Report(bool bTaken, const std::string& Error) const;
	std::string CaptureFacts() const;

	TUniquePtr<ITmvLink> Link;
	std::unique_ptr<tmv::Bridge> Bridge;
	FTmvStage Stage;
	FTSTicker::FDelegateHandle Ticker;
	TWeakObjectPtr<UWorld> World;
	TWeakObjectPtr<ATmvRig> Rig;

	tmv::RequestNumber Applying = 0, Capturing = 0;
	bool bSettling = false;  // a scene was applied and is not yet captured: frames fill its temporal history
	EShot Shot = EShot::None;
	int32 WarmFrames = 0;
	FTmvShot Current;
	TFuture<FTmvFiles> Encoded;
	double ShotAt = 0., ReadAt = 0.;
};
